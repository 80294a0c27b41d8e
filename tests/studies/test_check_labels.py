"""Looking for wrong labels by retraining: who judges whom, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, PHOTOS_PER_CLASS, RunMain

from paddle_wrn.check_labels import main
from paddle_wrn.config import Config, load_config
from paddle_wrn.drawing import plots
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.studies import label_check as command
from paddle_wrn.studies.judgements import LABEL_CHECK
from paddle_wrn.studies.label_check import FOLDS, check_labels
from paddle_wrn.training.session import train
from paddle_wrn.training.visual_records import VisualRecords

QUICK: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 4,
    "optimizer.lr": 0.05,
    "model.name": "wrn_10_1",
    "model.options": {"strides": [2, 1, 2, 2]},
    "input.size": 16,
    "augment.crop_size": None,
}
SWAPPED = {"Blue Disc 03": 1, "Green 05": 2, "红 三角 01": 0}


@pytest.fixture
def run(data_folder: Path, tmp_path: Path) -> Path:
    """Return what `check_labels` looks at of a run: its settings, and that there is a network."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "best.safetensors").touch()
    config = load_config(None, QUICK | {"data": str(data_folder)})
    (run / "config.yaml").write_text(config.to_yaml(), "utf-8")
    return run


@pytest.fixture
def lists(data_folder: Path, tmp_path: Path) -> Path:
    """Return lists of the same photos, of which three have wrong labels."""
    folder = tmp_path / "lists"
    shutil.copytree(data_folder, folder)
    for name in ("train", "val", "test"):
        lines = []
        for line in (folder / f"{name}.txt").read_text("utf-8").splitlines():
            path, label = line.rsplit(" ", 1)
            photo = (data_folder / path).resolve()
            lines.append(f"{photo} {SWAPPED.get(photo.stem, label)}\n")
        (folder / f"{name}.txt").write_text("".join(lines), "utf-8")
    return folder


def record_copies(lists: Path, names: list[str]) -> None:
    record = {"near_duplicates": [names], "files": dict.fromkeys(names, "")}
    record |= {"mixed_labels": [], "left_out": []}
    (lists / "split.json").write_text(json.dumps(record), "utf-8")


class Training:
    """Stands in for `train`, and for the network it leaves."""

    def __init__(self) -> None:
        self.seen: list[tuple[set[Path], list[Path]]] = []
        self.settings: list[tuple[Config, dict[str, Any]]] = []
        self.stop_at: int | None = None

    def train(self, config: Config, **options: Any) -> None:
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        folder = read_data_folder(options["data"])
        assert folder.test is not None
        assert folder.val is None
        self.seen.append(({path.resolve() for path in folder.train.paths}, list(folder.test.paths)))
        self.settings.append((config, options))

    def judged(self, home: Path) -> np.ndarray:
        """Say what each photo really shows, with 0.9."""
        truth = [list(CLASSES).index(path.parent.name) for path in self.seen[-1][1]]
        return np.eye(3)[truth] * 0.85 + 0.05


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    stand_in = Training()
    monkeypatch.setattr(command, "train", stand_in.train)
    monkeypatch.setattr(command, "_judged", stand_in.judged)
    return stand_in


def test_every_photo_is_judged_once_by_a_network_that_has_not_seen_it(
    run: Path, lists: Path, training: Training
) -> None:
    judged = check_labels(run, data=lists)

    assert len(training.seen) == FOLDS
    for seen, held_out in training.seen:
        assert not seen & {path.resolve() for path in held_out}
        assert len(seen) + len(held_out) == 3 * PHOTOS_PER_CLASS
    everything = [path for _, held_out in training.seen for path in held_out]
    assert len(everything) == len(set(everything)) == len(judged) == 3 * PHOTOS_PER_CLASS
    assert {Path(judged.paths[i]).stem for i in judged.suspicious()} == SWAPPED.keys()
    for config, options in training.settings:
        assert config == load_config(None, QUICK | {"data": config.data})
        assert options["resume"] is True
    assert {path.name for path in run.iterdir()} == {"checkpoints", "config.yaml", LABEL_CHECK}


def test_near_duplicates_are_held_out_together(run: Path, lists: Path, training: Training) -> None:
    copies = ["Green/Green 00.jpg", "Green/Green 08.jpg", "Green/Green 11.jpg"]  # of all three lists
    record_copies(lists, copies)
    check_labels(run, data=lists)
    together = [{path.stem for path in held_out} for _, held_out in training.seen]
    assert sum({"Green 00", "Green 08", "Green 11"} <= held_out for held_out in together) == 1


def test_an_interruption_keeps_what_is_finished(run: Path, lists: Path, training: Training) -> None:
    training.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        check_labels(run, data=lists)
    assert {path.name for path in (run / "label_check").iterdir()} == {"fold-1", "fold-2", "fold-3"}
    assert not (run / LABEL_CHECK).exists()
    first = training.seen
    training.seen, training.stop_at = [], None
    check_labels(run, data=lists)
    assert training.seen[:2] == first  # the same parts in the same places, where `train` finds them finished


def test_wrong_labels_are_found_by_real_networks(
    run: Path, lists: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "save", lambda *_: None)
    monkeypatch.setattr(VisualRecords, "add_graph", lambda *_: None)
    monkeypatch.setattr(VisualRecords, "add_histograms", lambda *_: None)
    judged = check_labels(run, data=lists)
    found = [Path(judged.paths[i]).stem for i in judged.suspicious()[: len(SWAPPED)]]
    assert len(SWAPPED.keys() & set(found)) >= 2  # by chance 0.25 of 3 would be


def test_the_command_says_what_it_costs_and_found(
    data_folder: Path, lists: Path, training: Training, tmp_path: Path, run_main: RunMain
) -> None:
    run = tmp_path / "trained"
    train(data=data_folder, output=run, settings=QUICK | {"epochs": 1})
    outcome = run_main(main, run, "--data", lists)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("4 trainings of 1 epochs on three quarters of the photos, about 0 minutes")
    assert lines[1] == "1 of 4: without 9 of 36 photos"
    assert "3 of 36 labels are suspicious; look at them, many may be right after all" in lines
    assert any("Green 05.jpg: labelled Red Triangle, looks like Green (90%)" in line for line in lines)


@pytest.mark.parametrize("figures", [None, "", "[]", '{"seconds": 1}'])
def test_without_figures_of_the_run_nobody_knows_how_long_it_takes(
    figures: str | None, run: Path, lists: Path, training: Training, capsys: pytest.CaptureFixture[str]
) -> None:
    if figures is not None:
        (run / "metrics.json").write_text(figures)
    assert len(check_labels(run, data=lists)) == 3 * PHOTOS_PER_CLASS
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "4 trainings of 4 epochs on three quarters of the photos"


def test_too_few_photos_are_refused(run: Path, lists: Path) -> None:
    photo = read_data_folder(lists).train.paths[0]
    (lists / "classes.txt").write_text("Blue Disc\nGreen\n红 三角\nRare\n", "utf-8")
    with (lists / "train.txt").open("a", encoding="utf-8") as file:
        file.write(f"{photo} 3\n")
    with pytest.raises(UserError, match=r"class 'Rare' has 1 photos; checking labels needs at least 4"):
        check_labels(run, data=lists)


def test_a_class_of_copies_is_refused(run: Path, lists: Path, training: Training) -> None:
    names = [f"Green/Green {number:02}.jpg" for number in range(PHOTOS_PER_CLASS)]
    for name in ("train", "val", "test"):  # no wrong labels
        text = (lists / f"{name}.txt").read_text("utf-8")
        text = "".join(
            f"{line.rsplit(' ', 1)[0]} {list(CLASSES).index(Path(line).parent.name)}\n"
            for line in text.splitlines()
        )
        (lists / f"{name}.txt").write_text(text, "utf-8")
    record_copies(lists, names)
    with pytest.raises(UserError, match=r"the photos of class 'Green' are all near-duplicates"):
        check_labels(run, data=lists)
    assert training.seen == []


def test_without_a_run_nothing_is_checked(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    assert "no such run folder" in run_main(main, tmp_path / "gone").err
    (run / "config.yaml").unlink()
    outcome = run_main(main, run)
    assert outcome.code == 2
    assert "a run folder with a config.yaml is needed" in outcome.err
