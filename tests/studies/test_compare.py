"""The comparison of configurations: what it trains, what it leaves, what it writes and what it refuses."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from conftest import Outcome, RunMain
from PIL import Image

from paddle_wrn.compare import main
from paddle_wrn.config import Config, load_config
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.studies.comparison import compare
from paddle_wrn.training import loop
from paddle_wrn.training.session import train

TINY: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 7,
    "model.name": "wrn_10_1",
    "model.options": {"strides": [2, 2, 2, 2]},
    "input.size": 16,
    "augment.crop_size": None,
}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two configuration files; the second one learns next to nothing."""
    folder = tmp_path_factory.mktemp("configs")
    for name, changes in (("able", {}), ("idle", {"optimizer.lr": 1e-9, "model.name": "wrn_16_1"})):
        (folder / f"{name}.yaml").write_text(load_config(None, TINY | changes).to_yaml(), "utf-8")
    return folder / "able.yaml", folder / "idle.yaml"


@pytest.fixture(scope="module")
def compared(configs: tuple[Path, Path], data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of a finished comparison with two seeds; tests only read it."""
    output = tmp_path_factory.mktemp("compare") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("paddle_wrn.drawing.plots.save", lambda figure, path: None)
        compare(configs, seeds=2, data=data_folder, output=output)
    return output


@pytest.fixture
def own(compared: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may change."""
    shutil.copytree(compared, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture(autouse=True)
def no_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes longer than a tiny training."""
    if "picture" not in request.node.name:
        monkeypatch.setattr("paddle_wrn.drawing.plots.save", lambda figure, path: None)


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail when a training begins."""
    monkeypatch.setattr(loop, "train_step", None)


def run_compare(
    run_main: RunMain, configs: tuple[Path, ...], data: Path, output: Path, *more: object
) -> Outcome:
    return run_main(main, *configs, "--data", data, "--output", output, *more)


def files_of(folder: Path) -> dict[Path, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file() and "-seed" in str(path)]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def metrics(output: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads((output / f"{name}-seed{s}" / "metrics.json").read_text("utf-8")) for s in (0, 1)]


def table_rows(output: Path) -> list[list[str]]:
    lines = (output / "comparison.md").read_text("utf-8").split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_configuration_is_trained_with_every_seed(compared: Path, configs: tuple[Path, Path]) -> None:
    for file in configs:
        for seed, results in enumerate(metrics(compared, file.stem)):
            config = load_config(compared / f"{file.stem}-seed{seed}" / "config.yaml")
            assert config.seed == results["seed"] == seed
            assert config.model == load_config(file).model


def test_a_run_of_a_comparison_is_what_train_makes(
    compared: Path, configs: tuple[Path, Path], data_folder: Path, tmp_path: Path
) -> None:
    train(configs[0], data=data_folder, output=tmp_path / "run", settings={"seed": 1})
    for name in ("checkpoints/best.safetensors", "model.pdparams", "test_predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (compared / "able-seed1" / name).read_bytes()


def test_the_table_is_that_of_the_runs(compared: Path) -> None:
    rows = table_rows(compared)
    assert [row[:2] for row in rows] == [["able", "wrn_10_1"], ["idle", "wrn_16_1"]]
    for row in rows:
        runs = metrics(compared, row[0])
        for column, split in ((5, "val"), (6, "test")):
            shares = [100 * results[split]["accuracy"] for results in runs]
            assert row[column] == f"{mean(shares):.1f} ({stdev(shares):.1f})"
        assert row[2] == f"{runs[0]['parameters']:,}"
        assert row[3] == f"{runs[0]['multiply_adds']:,}"
        assert row[8] == f"{mean(results['seconds'] for results in runs):.0f}"
        assert float(row[10]) == mean(results["kept_epoch"] for results in runs)
    text = (compared / "comparison.md").read_text("utf-8")
    assert "\n6 test photos, seeds 0 to 1. " in text
    assert text.count("\n- ") == 2
    assert " points (p = " in text or " are equal (p = " in text


def test_csv_has_a_row_a_run(compared: Path) -> None:
    with (compared / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["configuration"], row["seed"]) for row in rows] == [
        *(("able", "0"), ("able", "1"), ("idle", "0"), ("idle", "1"))
    ]
    for row in rows:
        results = metrics(compared, row["configuration"])[int(row["seed"])]
        assert float(row["test_accuracy"]) == results["test"]["accuracy"]
        assert float(row["seconds"]) == results["seconds"]


def test_the_picture_is_whole(
    own: Path, configs: tuple[Path, Path], data_folder: Path, no_training: None
) -> None:
    compare(configs, seeds=2, data=data_folder, output=own)
    with Image.open(own / "comparison.png") as picture:
        picture.load()
        assert min(picture.size) > 200


def test_what_is_finished_is_not_trained_again(
    own: Path, configs: tuple[Path, Path], data_folder: Path, run_main: RunMain, no_training: None
) -> None:
    before = files_of(own)
    text = (own / "comparison.md").read_text("utf-8")
    (own / "comparison.md").unlink()
    outcome = run_compare(run_main, configs, data_folder, own, "--seeds", 2)
    assert outcome.code == 0
    assert f"4 of 4 runs in {own} are trained already" in outcome.out
    assert text in outcome.out
    assert (own / "comparison.md").read_text("utf-8") == text
    assert files_of(own) == before


def test_more_seeds_train_only_those(
    own: Path, configs: tuple[Path, Path], data_folder: Path, run_main: RunMain
) -> None:
    shutil.rmtree(own / "able-seed0")
    before = files_of(own)
    outcome = run_compare(run_main, configs[:1], data_folder, own, "--seeds", 2)
    assert outcome.code == 0
    assert "2 of 2: able, seed 0\n" in outcome.out
    assert "able, seed 1" not in outcome.out
    after = files_of(own)
    assert {path: after[path] for path in before} == before
    assert (own / "able-seed0" / "metrics.json").is_file()


def test_an_interrupted_comparison_shows_what_there_is_and_continues(
    compared: Path,
    configs: tuple[Path, Path],
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    output = tmp_path / "out"
    step, done = loop.train_step, []

    def signalling_step(*args: Any) -> bool:
        done.append(1)
        if len(done) == 8:  # three an epoch: in the middle of the second run
            os.kill(os.getpid(), signal.SIGINT)
        return bool(step(*args))

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", signalling_step)
        outcome = run_compare(run_main, configs, data_folder, output, "--seeds", 2)
    assert outcome.code == 130
    assert "1 of 4: able, seed 0" in outcome.out
    assert "2 of 4: idle, seed 0" in outcome.out
    assert outcome.out.splitlines()[-1] == (
        f"{output}: what is finished is in comparison.md; the same command continues it"
    )
    able, idle = table_rows(output)
    assert able[4] == "1 of 2"
    assert idle[4:] == ["0 of 2", *"------"]
    outcome = run_compare(run_main, configs, data_folder, output, "--seeds", 2)
    assert outcome.code == 0
    assert "resumed   after epoch 0, step 2" in outcome.out
    for run in ("able-seed0", "idle-seed0", "able-seed1", "idle-seed1"):
        for name in ("checkpoints/best.safetensors", "test_predictions.csv"):
            assert (output / run / name).read_bytes() == (compared / run / name).read_bytes()
    assert [row[:7] for row in table_rows(output)] == [row[:7] for row in table_rows(compared)]


def test_settings_are_for_all(
    configs: tuple[Path, Path], data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    outcome = run_compare(run_main, configs, data_folder, tmp_path, "--seeds", 1, "--epochs", 1)
    assert outcome.code == 0
    assert [load_config(file).epochs for file in tmp_path.glob("*-seed0/config.yaml")] == [1, 1]
    text = (tmp_path / "comparison.md").read_text("utf-8")
    assert "seed 0. Intervals cover the noise of the test photos only, not that of training" in text


# Refused before the first training


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("epochs: many\n", "bad.yaml: epochs: found 'many'"),
        ("model: {name: wrn_29_1}\n", "bad.yaml: depth: found 29"),
        ("model: {options: {depht: 3}}\n", "bad.yaml: model.options.depht: "),
        ("model: {weights: gone.safetensors}\n", "bad.yaml: gone.safetensors: no such file"),
        ("device: gpu\n", "bad.yaml: device gpu: "),
        (None, "bad.yaml: no such configuration file"),
    ],
    ids=str,
)
def test_a_bad_last_configuration_is_refused_before_the_first_is_trained(
    text: str | None,
    complaint: str,
    configs: tuple[Path, Path],
    data_folder: Path,
    tmp_path: Path,
    run_main: RunMain,
    no_training: None,
) -> None:
    if text is not None:
        (tmp_path / "bad.yaml").write_text(text, "utf-8")
    outcome = run_compare(run_main, (*configs, tmp_path / "bad.yaml"), data_folder, tmp_path / "out")
    assert outcome.code == 2
    assert complaint in outcome.err
    assert not (tmp_path / "out").exists()


def test_shipped_configurations_go_by_their_names(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    begun = []

    def train(config: Config, *, output: Path, resume: bool) -> None:
        begun.append((output.name, config.epochs))
        if len(begun) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("paddle_wrn.studies.comparison.train", train)
    monkeypatch.setattr("paddle_wrn.studies.comparison._finished", lambda run, results: None)
    monkeypatch.setattr("paddle_wrn.studies.comparison._write", lambda output, entries: None)
    monkeypatch.chdir(tmp_path)
    outcome = run_compare(run_main, ("smoke", "tutorial.yaml"), data_folder, tmp_path / "out", "--seeds", 1)
    assert outcome.code == 130
    assert begun == [("smoke-seed0", 3), ("tutorial-seed0", 60)]
    assert "the same command continues it" in outcome.out


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--seeds", 0), "--seeds: found 0; 1 or more are needed"),
        (("--seeds", "two"), "invalid int value: 'two'"),
        (("--seed", 3), "say how many with --seeds"),
        (("--epoch", 3), "did you mean epochs?"),
        (("--optimizer.lr",), "a value must follow"),
    ],
    ids=str,
)
def test_bad_words_are_a_sentence(
    more: tuple[object, ...],
    complaint: str,
    configs: tuple[Path, Path],
    data_folder: Path,
    tmp_path: Path,
    run_main: RunMain,
    no_training: None,
) -> None:
    outcome = run_compare(run_main, configs, data_folder, tmp_path / "out", *more)
    assert outcome.code == 2
    assert complaint in outcome.err
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_name_are_refused(
    configs: tuple[Path, Path], data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    other = shutil.copy(configs[1], tmp_path / "able.yaml")
    outcome = run_compare(run_main, (configs[0], other), data_folder, tmp_path / "out")
    assert outcome.code == 2
    assert f"{configs[0]} and {other}: are both called able" in outcome.err


def copy_lists(data_folder: Path, to: Path) -> Path:
    shutil.copytree(data_folder, to)
    for file in to.glob("*.txt"):
        text = file.read_text("utf-8").replace("../photos", str(data_folder.parent / "photos"))
        file.write_text(text, "utf-8")
    return to


def test_configurations_with_lists_of_their_own_must_have_the_same(
    configs: tuple[Path, Path], data_folder: Path, tmp_path: Path, run_main: RunMain, no_training: None
) -> None:
    lists = [copy_lists(data_folder, tmp_path / name) for name in ("one", "two")]
    files = []
    for file, folder in zip(configs, lists, strict=True):
        files.append(tmp_path / file.name)
        files[-1].write_text(load_config(file, {"data": str(folder)}).to_yaml(), "utf-8")
    (lists[1] / "classes.txt").write_text("a\nb\nc\n", "utf-8")
    outcome = run_main(main, *files, "--output", tmp_path / "out")
    assert outcome.code == 2
    assert f"have different photos or classes ({lists[0]} and {lists[1]})" in outcome.err
    assert "--data" in outcome.err
    assert not (tmp_path / "out").exists()


def test_test_photos_are_needed(
    configs: tuple[Path, Path], data_folder: Path, tmp_path: Path, run_main: RunMain, no_training: None
) -> None:
    lists = copy_lists(data_folder, tmp_path / "lists")
    (lists / "test.txt").unlink()
    outcome = run_compare(run_main, configs, lists, tmp_path / "out")
    assert outcome.code == 2
    assert "test.txt: no such list" in outcome.err


def test_runs_on_other_lists_or_with_other_settings_are_refused(
    own: Path,
    configs: tuple[Path, Path],
    data_folder: Path,
    tmp_path: Path,
    run_main: RunMain,
    no_training: None,
) -> None:
    before = files_of(own)
    lists = copy_lists(data_folder, tmp_path / "lists")
    outcome = run_compare(run_main, configs, lists, own, "--seeds", 2)
    assert outcome.code == 2
    assert f"{own / 'able-seed0'}: was trained with another configuration (data was" in outcome.err
    outcome = run_compare(run_main, configs, data_folder, own, "--batch_size", 9)
    assert outcome.code == 2
    assert "batch_size was 7, now 9" in outcome.err
    assert files_of(own) == before


def test_runs_on_lists_that_have_changed_are_refused(
    configs: tuple[Path, Path], data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    lists = copy_lists(data_folder, tmp_path / "lists")
    more = ("--seeds", 1, "--epochs", 1)
    assert run_compare(run_main, configs[:1], lists, tmp_path / "out", *more).code == 0
    lines = (lists / "test.txt").read_text("utf-8").splitlines(keepends=True)
    (lists / "test.txt").write_text("".join(lines[1:]), "utf-8")
    outcome = run_compare(run_main, configs, lists, tmp_path / "out", *more)
    assert outcome.code == 2
    assert f"{tmp_path / 'out' / 'able-seed0'}: the lists have changed" in outcome.err
    assert not (tmp_path / "out" / "idle-seed0").exists()


def test_answers_for_other_photos_are_refused(
    own: Path, configs: tuple[Path, Path], data_folder: Path, run_main: RunMain, no_training: None
) -> None:
    file = own / "idle-seed1" / "test_predictions.csv"
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]), "utf-8")
    outcome = run_compare(run_main, configs, data_folder, own, "--seeds", 2)
    assert outcome.code == 2
    missing = read_data_folder(data_folder).split("test").paths[-1]
    assert "idle-seed1" in outcome.err
    assert missing.name in outcome.err
    file.write_text("".join([lines[0], *reversed(lines[1:])]), "utf-8")  # another order does no harm
    assert run_compare(run_main, configs, data_folder, own, "--seeds", 2).code == 0


def test_compare_returns_what_it_found(
    compared: Path, own: Path, configs: tuple[Path, Path], data_folder: Path, no_training: None
) -> None:
    able, idle = compare(list(configs), seeds=2, data=data_folder, output=own)
    assert (able.name, idle.network, sorted(able.runs)) == ("able", "wrn_16_1", [0, 1])
    assert able.accuracies == [results["test"]["accuracy"] for results in metrics(compared, "able")]
    for run in (*able.runs.values(), *idle.runs.values()):
        assert run.accuracy == np.mean(run.correct)
