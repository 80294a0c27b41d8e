"""Stopping, killing and resuming: a run ends with the same bytes as one that never stopped."""

import errno
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RunMain
from visualdl import LogReader

from paddle_wrn.config import load_config
from paddle_wrn.errors import UserError
from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.train import main
from paddle_wrn.training import loop
from paddle_wrn.training.session import train

# 24 training photos: three steps of 7 and one of 3 an epoch
TINY: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 7,
    "drop_last": False,
    "model.name": "wrn_10_1",
    "model.options": {"strides": [2, 1, 2, 2]},
    "input.size": 16,
    "augment.crop_size": None,
    "schedule.warmup": 0.2,
}
RECIPES = {
    "sgd": TINY | {"model.options.drop_rate": 0.3},
    # four steps of 5; the 4 photos that are left do not come, others in every epoch
    "adam": TINY | {"optimizer.name": "adam", "optimizer.lr": 0.01, "batch_size": 5, "drop_last": True},
}
SHORT = RECIPES["sgd"] | {"epochs": 2}
LONG = RECIPES["sgd"] | {"epochs": 40}  # a second or two: time enough to be killed
BEST = "checkpoints/best.safetensors"
LAST = "checkpoints/last.safetensors"
PREVIOUS = "checkpoints/previous.safetensors"


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes longer than a tiny training."""
    monkeypatch.setattr("paddle_wrn.drawing.plots.save", lambda figure, path: None)


Uninterrupted = Callable[[str], Path]


@pytest.fixture(scope="module")
def uninterrupted(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """Return a function from the name of a recipe to the folder of a run that never stopped."""
    folder = tmp_path_factory.mktemp("uninterrupted")

    def run_of(name: str) -> Path:
        if not (folder / name).exists():
            settings = RECIPES | {"short": SHORT, "long": LONG}
            train(data=data_folder, output=folder / name, settings=settings[name])
        return folder / name

    return run_of


def assert_same_end(run: Path, reference: Path) -> None:
    for name in (BEST, "model.pdparams"):
        assert (run / name).read_bytes() == (reference / name).read_bytes()
    assert results(run) == results(reference)
    assert curve(run) == curve(reference)


def results(run: Path) -> dict[str, Any]:
    stored = json.loads((run / "metrics.json").read_text("utf-8"))
    return {name: stored[name] for name in ("val", "test", "kept_epoch")}


def curve(run: Path) -> list[dict[str, Any]]:
    epochs = [json.loads(line) for line in (run / "history.jsonl").read_text("utf-8").splitlines()]
    return [{name: epoch[name] for name in epoch if "second" not in name} for epoch in epochs]


def signal_after(monkeypatch: pytest.MonkeyPatch, steps: int, number: int = signal.SIGINT) -> None:
    """Send this process a signal in the middle of a step, once."""
    step, done = loop.train_step, []

    def signalling_step(*args: Any) -> bool:
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), number)
        return bool(step(*args))

    monkeypatch.setattr(loop, "train_step", signalling_step)


def words(settings: dict[str, Any]) -> list[str]:
    """Return settings as a command line has them."""
    return [word for name, value in settings.items() for word in (f"--{name}", json.dumps(value))]


def stop_after(
    steps: int, recipe: str, data_folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leave a run that was stopped after so many steps."""
    with monkeypatch.context() as patch:
        signal_after(patch, steps)
        with pytest.raises(KeyboardInterrupt):
            train(data=data_folder, output=run, settings=RECIPES[recipe])


# Stopped by a signal


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("steps", [1, 4, 6, 11])
def test_stopped_and_resumed_ends_like_never_stopped(
    steps: int,
    recipe: str,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_after(steps, recipe, data_folder, tmp_path / "run", monkeypatch)
    progress = load_checkpoint(tmp_path / "run" / LAST, "training")[1]["progress"]
    assert (progress["epoch"], progress["step"]) == divmod(steps, 4)
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted(recipe))


def test_stopped_at_every_step_ends_like_never_stopped(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = 0
    while not (tmp_path / "run" / "metrics.json").exists():
        with monkeypatch.context() as patch:
            signal_after(patch, 1)
            try:
                train(data=data_folder, output=tmp_path / "run", resume=True, settings=RECIPES["sgd"])
            except KeyboardInterrupt:
                stops += 1
    assert stops == 11  # the twelfth step is the last: what it leaves is finished
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(
    number: signal.Signals,
    code: int,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "my run"
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        signal_after(patch, 6, number)
        outcome = run_main(main, "--data", data_folder, "--output", run, *words(RECIPES["sgd"]))
    assert outcome.code == code
    assert "finishing this step, then saving" in outcome.err
    assert f"stopped by {number.name} after epoch 1, step 2" in outcome.out
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    (line,) = (line for line in outcome.out.splitlines() if "--resume" in line)
    assert shlex.split(line)[:3] == ["python", "-m", "paddle_wrn.train"]
    assert run_main(main, *shlex.split(line)[3:]).code == 0
    assert_same_end(run, uninterrupted("sgd"))


def test_a_second_signal_acts_at_once(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, done = loop.train_step, []

    def impatient(*args: Any) -> bool:
        done.append(1)
        if len(done) == 6:
            waiting = signal.getsignal(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            while signal.getsignal(signal.SIGINT) is waiting:  # another thread may have got the signal
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        return bool(step(*args))

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", impatient)
        with pytest.raises(KeyboardInterrupt):
            train(data=data_folder, output=tmp_path / "run", settings=RECIPES["sgd"])
    progress = load_checkpoint(tmp_path / "run" / LAST, "training")[1]["progress"]
    assert (progress["epoch"], progress["step"]) == (1, 0)  # the begun epoch was not saved
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


# Killed


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may run after it."""


def kill_at_replace(patch: pytest.MonkeyPatch, number: int) -> None:
    """Die just before the file system renames for the n-th time; no clean-up runs."""
    replace, done = os.replace, []

    def dying_replace(source: Any, target: Any) -> None:
        done.append(1)
        if len(done) >= number:
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            raise Killed
        replace(source, target)

    patch.setattr(os, "replace", dying_replace)


def test_killed_at_any_rename_and_resumed_ends_like_never_stopped(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 0
    killed = True
    while killed:
        number += 1
        arguments: dict[str, Any] = {"data": data_folder, "output": tmp_path / f"run{number}"}
        arguments["settings"] = SHORT
        with monkeypatch.context() as patch:
            kill_at_replace(patch, number)
            try:
                train(**arguments)
                killed = False
            except Killed:
                pass
        train(**arguments, resume=True)
        assert_same_end(tmp_path / f"run{number}", uninterrupted("short"))
    assert number > 12


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_ends_like_never_stopped(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    rng = random.Random(0)
    for epochs in (1, 12, 25):
        process = start(run, data_folder, "--resume")
        wait_for_epochs(run, epochs, process)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    train(output=run, resume=True)
    assert_same_end(run, uninterrupted("long"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_real_process_ends_as_its_signal_asks(
    number: signal.Signals, code: int, uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path
) -> None:
    process = start(tmp_path / "run", data_folder)
    wait_for_epochs(tmp_path / "run", 2, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"stopped by {number.name}" in out
    assert "Traceback" not in err
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("long"))


def start(run: Path, data_folder: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "paddle_wrn.train", "--data", str(data_folder), "--output", str(run)]
    return subprocess.Popen(
        [*command, *more, *words(LONG)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def wait_for_epochs(run: Path, epochs: int, process: "subprocess.Popen[str]") -> None:
    history = run / "history.jsonl"
    while not history.exists() or len(history.read_text("utf-8").splitlines()) < epochs:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


# Damage


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def change_the_record(file: Path) -> None:
    content = file.read_bytes()
    assert content.count(b'\\"epoch\\": 1') == 1
    file.write_bytes(content.replace(b'\\"epoch\\": 1', b'\\"epoch\\": 2'))


DAMAGES = (cut, empty, flip_a_bit, change_the_record)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_falls_back_to_the_one_before_and_says_so(
    damage: Callable[[Path], None],
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "run"
    stop_after(6, "sgd", data_folder, run, monkeypatch)
    damage(run / LAST)
    outcome = run_main(main, "--resume", "--output", run)
    assert outcome.code == 0
    assert re.search(
        f"{re.escape(str(run / LAST))}: .*damaged.*continuing from the checkpoint before", outcome.out
    )
    assert "resumed   after epoch 1, step 0" in outcome.out
    assert_same_end(run, uninterrupted("sgd"))


def test_a_kill_after_falling_back_leaves_a_whole_checkpoint(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5, 10):  # the renames of the first save and around it
        run = tmp_path / f"run{number}"
        stop_after(6, "sgd", data_folder, run, monkeypatch)
        cut(run / LAST)
        with monkeypatch.context() as patch:
            kill_at_replace(patch, number)
            with pytest.raises(Killed):
                train(output=run, resume=True)
        train(output=run, resume=True)
        assert_same_end(run, uninterrupted("sgd"))


@pytest.mark.parametrize("damage", DAMAGES[:3])
def test_two_damaged_checkpoints_are_a_sentence(
    damage: Callable[[Path], None],
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "run"
    stop_after(6, "sgd", data_folder, run, monkeypatch)
    damage(run / LAST)
    damage(run / PREVIOUS)
    outcome = run_main(main, "--resume", "--output", run)
    assert outcome.code == 2
    assert str(run / LAST) in outcome.err
    assert str(run / PREVIOUS) in outcome.err


def test_a_history_line_that_was_cut_short_does_no_harm(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    with (tmp_path / "run" / "history.jsonl").open("a") as file:
        file.write('{"epoch": 2, "lr": 0.0')
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


def test_visualdl_holds_every_epoch_of_a_resumed_run(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    train(output=tmp_path / "run", resume=True)
    (records,) = (tmp_path / "run" / "visualdl").glob("vdlrecords*")
    reader = LogReader(file_path=str(records))
    assert [record.id for record in reader.get_data("scalar", "loss/val")] == [1, 2, 3]
    assert len(reader.get_data("image", "augmented training photos")) == 1


# What may be resumed


def test_resume_of_nothing_starts(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    settings = words(RECIPES["adam"])
    outcome = run_main(main, "--resume", "--data", data_folder, "--output", tmp_path / "run", *settings)
    assert outcome.code == 0
    assert "resumed" not in outcome.out
    assert_same_end(tmp_path / "run", uninterrupted("adam"))


def test_resume_of_nothing_starts_with_a_configuration(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    config = load_config(None, SHORT | {"data": str(data_folder)})
    (tmp_path / "my.yaml").write_text(config.to_yaml(), "utf-8")
    outcome = run_main(main, "--resume", "--config", tmp_path / "my.yaml", "--output", tmp_path / "run")
    assert outcome.code == 0
    assert "resumed" not in outcome.out
    assert_same_end(tmp_path / "run", uninterrupted("short"))


@pytest.mark.parametrize(
    "make",
    [lambda run: None, Path.mkdir, Path.touch, lambda run: (run.mkdir(), (run / "thesis.txt").touch())],
    ids=["missing", "empty", "file", "other files"],
)
def test_resume_of_nothing_with_nothing_else_is_refused(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    monkeypatch.chdir(tmp_path)  # where no sample birds may be drawn either
    make(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    outcome = run_main(main, "--resume", "--output", tmp_path / "run")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {tmp_path / 'run'}: holds no run to resume; give the --data or")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistyped_run_is_not_begun_anew_because_a_setting_was_given(
    tmp_path: Path, run_main: RunMain
) -> None:
    outcome = run_main(main, "--resume", "--output", tmp_path / "typo", "--device", "cpu")
    assert outcome.code == 2
    assert "holds no run to resume" in outcome.err
    assert not (tmp_path / "typo").exists()


def test_resume_of_a_finished_run_is_harmless(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted("sgd"), tmp_path / "run")
    before = (tmp_path / "run" / "history.jsonl").read_bytes()
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))
    assert (tmp_path / "run" / "history.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("optimizer.lr", 0.05, "optimizer.lr was 0.1, now 0.05"),
        ("seed", 7, "seed was 0, now 7"),
        ("epochs", 9, "epochs was 3, now 9"),
        ("model.options.drop_rate", 0.1, "model.options was"),
    ],
)
def test_resume_with_another_configuration_is_refused_by_name(
    name: str,
    value: object,
    complaint: str,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    run_main: RunMain,
) -> None:
    run = uninterrupted("sgd")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    settings = words(RECIPES["sgd"] | {name: value})
    outcome = run_main(main, "--resume", "--data", data_folder, "--output", run, *settings)
    assert outcome.code == 2
    assert f"{run}: was trained with another configuration ({complaint}" in outcome.err
    assert outcome.err.count(" was ") == 2  # "was trained", and the one setting that differs
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--seed", "5"), "seed was 0, now 5"),
        (("--data", "elsewhere"), "data was '{data}', now 'elsewhere'"),
        (("--model.options.drop_rate=0.1",), "model.options was"),
    ],
    ids=lambda words: words[0],
)
def test_resume_takes_the_stored_configuration_as_its_base(
    words: tuple[str, ...],
    complaint: str,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    run_main: RunMain,
) -> None:
    run = uninterrupted("sgd")
    outcome = run_main(main, "--resume", "--output", run, *words)
    assert outcome.code == 2
    assert f"another configuration ({complaint.format(data=data_folder)}" in outcome.err
    assert outcome.err.count(" was ") == 2  # "was trained", and the one setting that differs


def test_resume_with_nothing_but_another_device_continues(
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    outcome = run_main(main, "--resume", "--output", tmp_path / "run", "--device", "cpu")
    assert outcome.code == 0
    assert "device    cpu (as asked)" in outcome.out
    assert "resumed   after epoch 1, step 2" in outcome.out
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


def test_resume_on_another_device_is_allowed(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    settings = RECIPES["sgd"] | {"device": "cpu"}
    train(data=data_folder, output=tmp_path / "run", resume=True, settings=settings)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


def test_resume_with_the_same_options_as_a_tuple_is_allowed(data_folder: Path, tmp_path: Path) -> None:
    settings = TINY | {"epochs": 1, "model.options": {"strides": (2, 1, 2, 2)}}
    arguments: dict[str, Any] = {"data": data_folder, "output": tmp_path / "run", "settings": settings}
    assert train(**arguments).test == train(**arguments, resume=True).test


@pytest.mark.parametrize("name", ["train.txt", "val.txt", "classes.txt"])
def test_resume_is_refused_when_the_lists_have_changed(
    name: str, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data_folder.parent, tmp_path / "data")
    lists = tmp_path / "data" / data_folder.name
    stop_after(2, "sgd", lists, tmp_path / "run", monkeypatch)
    text = (lists / name).read_text("utf-8")
    changed = (
        text.replace("Blue Disc", "Bluer Disc")
        if name == "classes.txt"
        else text + text[: text.index("\n") + 1]
    )
    (lists / name).write_text(changed, "utf-8")
    with pytest.raises(UserError, match="the lists have changed since this run began"):
        train(output=tmp_path / "run", resume=True)


# Disks that refuse


@pytest.mark.parametrize("write", range(1, 6))
def test_a_full_disk_is_a_sentence_and_the_run_goes_on_later(
    write: int,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "run"
    write_bytes, done = Path.write_bytes, []

    def full(path: Path, content: bytes) -> int:
        done.append(1)
        if len(done) >= write:
            write_bytes(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        outcome = run_main(main, "--data", data_folder, "--output", run, *words(RECIPES["sgd"]))
    assert outcome.code == 2
    assert "the disk is full" in outcome.err
    assert not list(run.rglob("*.tmp"))
    for file in (run / "checkpoints").iterdir():
        arrays, _ = load_checkpoint(file, "model" if file.name.startswith("best") else "training")
        assert all(np.isfinite(array).all() for array in arrays.values())
    settings = words(RECIPES["sgd"])
    assert run_main(main, "--resume", "--data", data_folder, "--output", run, *settings).code == 0
    assert_same_end(run, uninterrupted("sgd"))


def test_a_loss_that_is_not_finite_keeps_a_checkpoint_to_resume_from(
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "run"
    cross_entropy, done = loop.F.cross_entropy, []

    def failing(*args: Any, **options: Any) -> Any:
        done.append(1)
        return cross_entropy(*args, **options) * (float("nan") if len(done) == 6 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(loop.F, "cross_entropy", failing)
        outcome = run_main(main, "--data", data_folder, "--output", run, *words(RECIPES["sgd"]))
    assert outcome.code == 2
    assert "epoch 2, step 2: the loss is nan" in outcome.err
    assert outcome.err.rstrip().endswith(f"the last good checkpoint is {run / LAST}")
    train(output=run, resume=True)
    assert_same_end(run, uninterrupted("sgd"))
