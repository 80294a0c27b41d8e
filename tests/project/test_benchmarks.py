"""The benchmarks' arithmetic, tables and yardsticks, on tiny sizes; never how fast anything is."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import paddle
import pytest
from rounding import additions, assert_equal_to_rounding

from benchmarks import bench, drawing, parallel, processes, results, rows, sweeps, timing, trainings
from benchmarks.processes import LeftOut, ProcessFailed
from benchmarks.results import Row, Table
from benchmarks.workers import input_speed, memory, train_speed
from benchmarks.yardsticks import tutorial_loop
from paddle_wrn.models import create_model
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.photos.preprocessing import read_image, resize_and_pad

FASTER = Row("speed", "steps", "images/s", (90.0, 110.0, 100.0), 2.0, (50.0, 60.0, 40.0), "the peer")
SLOWER = Row("time", "a run", "s", (4.0, 5.0, 6.0), 0.3, (10.0, 10.0, 10.0), "the peer", at_most=True)
SHARE = Row("share", "waiting", "%", (1.0, 2.0, 9.0), 3, at_most=True)
ABOUT = {
    "command": "python benchmarks/bench.py",
    "machine": {"cpu": "a processor", "cores": 2, "os": "an OS", "load_before": 0.1},
    "versions": {"python": "3.11"},
}


def test_ratio_is_that_of_the_medians() -> None:
    assert FASTER.ratio == 2.0
    assert FASTER.ratios == (1.8, 110 / 60, 2.5)
    assert SLOWER.ratio == 0.5
    assert SHARE.ratio is None


@pytest.mark.parametrize(("row", "met"), [(FASTER, True), (SLOWER, False), (SHARE, True)])
def test_met_obeys_the_bound_and_its_direction(row: Row, met: bool) -> None:
    assert row.met is met


def test_an_equal_side_does_not_meet_more_than_one() -> None:
    assert Row("x", "x", "s", (1.0,), 1.0, (1.0,), "peer").met
    assert not Row("x", "x", "s", (1.0,), 1.1, (1.0,), "peer").met


def test_record_keeps_every_figure_and_has_no_infinity() -> None:
    record = Row("x", "x", "s", (math.inf, 1.0, 3.0), 0.5, (2.0, 2.0, 2.0), "peer", at_most=True).record()
    assert record["ours"] == [None, 1.0, 3.0]
    assert record["ours_median"] == 3.0
    assert record["n"] == 3
    assert record["ratio"] == 1.5
    assert record["met"] is False
    assert "Infinity" not in json.dumps(record)


def test_table_shows_medians_spread_bound_and_verdict() -> None:
    text = results.rows_markdown([FASTER, SLOWER, SHARE])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:5]]
    assert lines[0] == [
        "speed", "steps", "images/s", "100 (90 to 110)", "the peer", "50 (40 to 60)", "3", "2 (1.8 to 2.5)",
        "at least 2", "yes",
    ]  # fmt: skip
    assert lines[1][-3:] == ["0.5 (0.4 to 0.6)", "at most 0.3", "**no**"]
    assert lines[2][4:6] == ["none", ""]


@pytest.mark.parametrize(("repeats", "said"), [(4, True), (5, False)])
def test_table_calls_few_repeats_a_quick_look(repeats: int, said: bool) -> None:
    text = results.rows_markdown([Row("x", "x", "s", (1.0,) * repeats, 1.0, (1.0,) * repeats, "peer")])
    assert ("quick look" in text) is said


def test_machine_names_the_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n")
    found = results.machine((0, 1), 0.123, tmp_path / "cpuinfo")
    assert found["cpu"] == "Some CPU @ 3 GHz"
    assert found["cores"] == 2
    assert found["load_before"] == 0.12


def test_sides_take_turns_in_both_orders() -> None:
    calls = []

    def side(name: str, repeat: int) -> float:
        calls.append((name, repeat))
        return float(repeat)

    values = processes.alternate({"a": lambda n: side("a", n), "b": lambda n: side("b", n)}, [7, 8, 9])
    assert calls == [("a", 7), ("b", 7), ("b", 8), ("a", 8), ("a", 9), ("b", 9)]
    assert values == {"a": (7.0, 8.0, 9.0), "b": (7.0, 8.0, 9.0)}


def test_processes_start_without_a_shells_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("FLAGS_paddle_num_threads", "7")
    monkeypatch.setenv("A_USERS_OWN", "kept")
    environment = processes.clean_environment({"OMP_NUM_THREADS": "1"})
    assert environment["OMP_NUM_THREADS"] == "1"
    assert "FLAGS_paddle_num_threads" not in environment
    assert environment["A_USERS_OWN"] == "kept"


def test_a_process_that_fails_says_how() -> None:
    with pytest.raises(ProcessFailed, match=r"json.tool ended with 2: .*unrecognized arguments"):
        processes.run_module("json.tool", "--no-such-option")
    with pytest.raises(ProcessFailed, match="printed no figures"):
        processes.measure("this")


def test_a_missing_library_is_named() -> None:
    processes.needs("json")
    with pytest.raises(LeftOut, match="no_such_library is not installed"):
        processes.needs("json", "no_such_library")


def test_rate_does_not_count_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    steps = []

    def step() -> None:
        steps.append(clock[0])
        clock[0] += 10.0 if len(steps) == 1 else 0.5  # the first step is slow

    assert timing.rate(step, 32, seconds=4.0) == 64.0  # 32 images in half a second
    assert len(steps) == timing.WARM_UP_STEPS + 8


def test_rate_takes_at_least_three_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    steps: list[None] = []

    def step() -> None:
        steps.append(None)
        clock[0] += 100.0

    assert timing.rate(step, 50, seconds=1.0) == 0.5
    assert len(steps) == timing.WARM_UP_STEPS + 3


def test_moment_of_the_first_value_that_is_high_enough() -> None:
    assert trainings.first_at_least(0.7, [0.5, 0.7, 0.6, 0.9], [1.0, 2.0, 3.0, 4.0]) == 2.0
    assert trainings.first_at_least(0.95, [0.5, 0.7], [1.0, 2.0]) == math.inf


def test_speed_of_a_run_leaves_out_its_first_epoch() -> None:
    lines = [json.dumps({"images_per_second": speed}) for speed in (1.0, 50.0, 60.0, 40.0)]
    assert parallel.speed_of_history("\n".join(lines) + "\n") == 50.0


def test_scaling_compares_with_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {(1, 128): 100.0, (2, 128): 150.0, (1, 64): 80.0}  # (processes, images a step)
    monkeypatch.setattr(sweeps, "cores_for", lambda processes: None)
    monkeypatch.setattr(sweeps, "parallel_speed", lambda _, processes, batch: speeds[processes, batch])
    monkeypatch.setattr(drawing, "array_store", lambda *_: tmp_path)
    table = sweeps.scaling(rows.Bench(1, 1.0, 1, (0,), None, tmp_path, 2))
    assert table.lines == (
        ("strong", 1, 128, 100.0, "100 %"), ("strong", 2, 128, 150.0, "75 %"),
        ("weak", 1, 64, 80.0, "100 %"), ("weak", 2, 128, 150.0, "94 %"),
    )  # fmt: skip


def test_parallel_training_is_left_out_until_train_can_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "ROOT", tmp_path)  # no sources, so nothing that starts processes
    with pytest.raises(LeftOut, match="does not train in several processes"):
        parallel.parallel_speed(tmp_path, 2, 64)


@pytest.mark.slow
def test_time_to_accuracy_ends_when_it_is_reached(data_folder: Path) -> None:
    began = time.perf_counter()
    seconds = trainings.seconds_to_accuracy(data_folder, 2, 0, accuracy=0.0)
    assert 0 < seconds < time.perf_counter() - began
    with pytest.raises(ProcessFailed, match="no such folder"):
        trainings.seconds_to_accuracy(data_folder / "nowhere", 1, 0, accuracy=0.0)


def test_report_says_what_is_left_out_and_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_out(_: rows.Bench) -> list[Row]:
        raise LeftOut("torch is not installed")

    def failed(_: rows.Bench) -> list[Row]:
        raise ProcessFailed("no space")

    monkeypatch.setattr(bench, "ROWS", {"good": lambda _: [FASTER], "peerless": left_out, "bad": failed})
    monkeypatch.setattr(
        bench, "SWEEPS", {"range": lambda _: Table("range", "A range", ("a",), ((1.23456,),))}
    )
    settings = rows.Bench(1, 1.0, 1, (0,), None, tmp_path, 2)
    assert bench.run(settings, ["good", "peerless", "range"], tmp_path / "one", ABOUT)
    assert not bench.run(settings, ["good", "bad"], tmp_path / "two", ABOUT)
    text = (tmp_path / "one.md").read_text()
    assert "`peerless`: left out: torch is not installed" in text
    assert "a processor, 2 cores used" in text
    assert "| 1.235 |" in text
    record = json.loads((tmp_path / "two.json").read_text())
    assert record["missing"] == {"bad": "failed: no space"}
    assert [row["name"] for row in record["rows"]] == ["speed"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(["--rows", "speed"], "invalid choice: 'speed'"), (["--repeats", "0"], "at least 1"),
     (["--photos", "nowhere"], "nowhere: no such folder")],
)  # fmt: skip
def test_bad_options_are_refused(
    words: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", *words])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert complaint in capsys.readouterr().err


def test_drawn_photos_are_made_once(tmp_path: Path) -> None:
    file = drawing.large_photos(tmp_path, 2)
    pixels = [read_image(file.parent / f"0000{number}.jpg").size for number in range(2)]
    assert pixels == [(375, 500), (500, 375)]
    assert file.read_text() == "00000.jpg 0\n00001.jpg 1\n"
    made = file.stat().st_mtime_ns
    assert drawing.large_photos(tmp_path, 2).stat().st_mtime_ns == made


def test_array_store_is_read_by_the_package(tmp_path: Path) -> None:
    folder = read_data_folder(drawing.array_store(tmp_path, 30, size=8))
    photos = load_photos(folder.train, 8)
    assert photos.images.shape == (30, 8, 8, 3)
    assert sorted(set(photos.labels.tolist())) == list(range(10))
    assert folder.val is not None
    assert len(folder.val) == 20


def test_memory_is_read_in_megabytes(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("VmHWM:\t  500000 kB\nRssAnon:\t  1000 kB\n")
    assert memory.memory_mb("VmHWM", tmp_path / "status") == 512.0


def test_tutorial_pixels_are_ours(
    photo_folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.9)  # no flips
    photos = tutorial_loop.Birds(data_folder / "train.txt")
    for index in (0, 9, 17):
        path, label = photos.samples[index]
        image, found = photos[index]
        ours = np.asarray(resize_and_pad(read_image(path), 32), np.float32).transpose(2, 0, 1)
        assert_equal_to_rounding(image, ours / 127.5 - 1, terms=3)
        assert found == label


def test_tutorial_network_is_ours_with_biases() -> None:
    theirs = tutorial_loop.WideResNet(4)
    ours = create_model("wrn_28_1", 4, conv_bias=True)
    trainable = [p for p in theirs.parameters() if not p.stop_gradient]
    assert sum(int(p.size) for p in trainable) == 370_116
    for there, here in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        there.set_value(here)
    theirs.eval()
    ours.eval()
    images = paddle.randn([2, 3, 32, 32])
    with paddle.no_grad():
        assert_equal_to_rounding(theirs(images), ours(images), terms=additions(ours))


def test_torch_network_is_ours() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is a yardstick, not a dependency")
    from benchmarks.yardsticks import torch_wrn

    theirs = torch_wrn.WideResNet(10, 2)
    ours = create_model("wrn_10_2", torch_wrn.CLASSES)
    there = {name: value for name, value in theirs.state_dict().items() if "num_batches" not in name}
    for (name, value), here in zip(there.items(), ours.state_dict().values(), strict=True):
        array = here.numpy().T if name == "fc.weight" else here.numpy()
        value.copy_(torch.from_numpy(array.copy()))
    theirs.eval()
    ours.eval()
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    with torch.no_grad(), paddle.no_grad():
        logits = theirs(torch.from_numpy(images)).numpy()
        assert_equal_to_rounding(logits, ours(paddle.to_tensor(images)), terms=additions(ours))


def test_tutorial_loop_runs_on_paddle_as_it_comes(data_folder: Path) -> None:
    script = f"""
import os, sys
from benchmarks.yardsticks import tutorial_loop
sys.argv[1:] = ["train", {str(data_folder)!r}, "--epochs", "2"]
tutorial_loop.main()
assert not any(name.startswith("paddle_wrn") for name in sys.modules)
assert "FLAGS_paddle_num_threads" not in os.environ
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=processes.ROOT, env=processes.clean_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert len(figures["accuracies"]) == 2
    assert all(0 <= accuracy <= 1 for accuracy in figures["accuracies"])
    assert 0 < figures["moments"][0] < figures["moments"][1]


def test_training_speed_trains_the_network_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["wrn_10_1", "--batch-size", "4", "--size", "8", "--seconds", "0"]
    monkeypatch.setattr(sys, "argv", ["train_speed", *words])
    train_speed.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["parameters"] == 77_850
    assert figures["images_per_second"] > 0


@pytest.mark.parametrize("what", ["batches", "waiting"])
def test_input_figures(
    what: str, data_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    config = tmp_path / "small.yaml"
    config.write_text("batch_size: 8\nmodel: {name: wrn_10_1, options: {}}\ninput: {size: 16}\n"
                      "augment: {crop_size: null}\n")  # fmt: skip
    words = [what, str(data_folder), "--config", str(config), "--seconds", "0.01"]
    monkeypatch.setattr(sys, "argv", ["input_speed", *words])
    input_speed.main()
    figures = json.loads(capsys.readouterr().out)
    if what == "waiting":
        assert 0 < figures["waiting_share"] < 1
    else:
        assert figures["images_per_second"] > 0


@pytest.mark.slow
def test_first_step_ends_the_command_after_one_step(data_folder: Path, tmp_path: Path) -> None:
    words = ("--config", "configs/smoke.yaml", "--data", data_folder, "--output", tmp_path / "run")
    began = time.time()
    figures = processes.measure("benchmarks.workers.first_step", began, *words)
    assert 0 < figures["seconds"] < time.time() - began
    assert (tmp_path / "run" / "config.yaml").exists()
    assert (tmp_path / "run" / "history.jsonl").read_text() == ""  # no epoch was finished


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_pinning_binds_what_is_started() -> None:
    script = "from benchmarks.processes import pin; import os; print(len(pin(1)), os.sched_getaffinity(0))"
    done = subprocess.run([sys.executable, "-c", script], cwd=processes.ROOT, capture_output=True, text=True)
    number, cores = done.stdout.split(maxsplit=1)
    assert number == "1"
    assert "," not in cores


def test_photos_are_counted_from_the_lists(data_folder: Path) -> None:
    assert drawing.count_photos(data_folder) == 36
