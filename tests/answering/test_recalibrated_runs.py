"""`calibrate` on a finished run: weights, figures, answers and pictures agree afterwards."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import RunMain

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import load_classifier, store_calibration
from paddle_wrn.answering.evaluation import evaluate
from paddle_wrn.answering.recalibration import calibrate
from paddle_wrn.calibrate import main
from paddle_wrn.drawing import plots
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system import files
from paddle_wrn.training.session import train

BEST = "checkpoints/best.safetensors"
WISH = 0.4


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the pictures that are drawn; the pictures themselves are left out."""
    names: list[str] = []
    monkeypatch.setattr(plots, "save", lambda figure, path: names.append(path.name))
    return names


@pytest.fixture
def run(trained: Path, tmp_path: Path, drawn: list[str]) -> Path:
    """Return a copy of a finished run, elsewhere, in which nothing is calibrated any more."""
    run = shutil.copytree(trained, tmp_path / "run")
    store_calibration(run, Calibration(temperature=3.0))
    return run


@pytest.fixture
def lists(data_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the lists that finds the same photos."""
    return shutil.copytree(data_folder, data_folder.parent / f"lists {tmp_path.name}")


def contents(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def assert_all_agree(run: Path) -> None:
    """Compare figures and answers with what the stored weights say now."""
    classifier, results = load_classifier(run), RunFolder(run).results()
    assert results is not None
    for split, scores in results.scores.items():
        assert scores == evaluate(run, split=split), split
        assert scores.calibration is not None
        trust = scores.calibration.model_dump()
        assert trust | classifier.calibration.model_dump() == trust
    folder = read_data_folder(RunFolder(run).config().data)  # type: ignore[union-attr]
    answers = RunFolder(run).answers()
    assert len(answers) == len(folder.split("test"))
    for answer, path in zip(answers, folder.split("test").paths, strict=True):
        (said,) = classifier.probabilities(classifier.preprocessing.load(path)[None])
        assert answer.predicted == classifier.preprocessing.classes[int(said.argmax())]
        assert answer.probability == pytest.approx(said.max(), abs=1e-5)
        assert answer.sure == (said.max() >= classifier.calibration.threshold)


def point_to(run: Path, data: Path) -> None:
    """Let a run say that it was trained on the lists in another folder."""
    config = (run / "config.yaml").read_text("utf-8")
    (run / "config.yaml").write_text(re.sub(r"(?m)^data: .*$", f"data: {data}", config), "utf-8")


def test_figures_answers_and_pictures_agree_with_the_weights(run: Path, drawn: list[str]) -> None:
    before = json.loads((run / "metrics.json").read_text("utf-8"))

    calibration = calibrate(run, wished_error=WISH)

    assert sorted(drawn) == ["precision_recall.png", "reliability.png"]
    assert load_classifier(run).calibration == calibration
    assert_all_agree(run)
    after = json.loads((run / "metrics.json").read_text("utf-8"))
    assert list(after) == list(before)
    assert {key: after[key] for key in after if key not in ("val", "test")} == {
        key: before[key] for key in before if key not in ("val", "test")
    }
    assert before["test"]["calibration"]["wished_error"] == 0.05
    assert after["test"]["calibration"]["wished_error"] == WISH


def test_the_reliability_picture_is_that_of_the_new_calibration(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds: list[float] = []
    diagram = plots.reliability_diagram

    def note(before: Any, after: Any, title: str, threshold: float) -> Any:
        thresholds.append(threshold)
        assert title == "6 validation photos"
        return diagram(before, after, title, threshold)

    monkeypatch.setattr(plots, "reliability_diagram", note)
    calibration = calibrate(run, wished_error=WISH)
    assert thresholds == [calibration.threshold]


def test_what_is_written_is_what_the_end_of_a_training_writes(run: Path) -> None:
    calibrate(run, wished_error=WISH)
    calibrated = contents(run)
    figures = json.loads(calibrated["metrics.json"])
    (run / "metrics.json").unlink()

    train(output=run, resume=True)  # ends a second time, with the same wish

    again = contents(run)
    assert again["test_predictions.csv"] == calibrated["test_predictions.csv"]
    assert again[BEST] == calibrated[BEST]
    assert {name: json.loads(again["metrics.json"])[name] for name in ("val", "test")} == {
        name: figures[name] for name in ("val", "test")
    }


def test_the_weights_are_written_first_and_the_figures_last(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    replace = os.replace
    monkeypatch.setattr(
        files.os, "replace", lambda old, new: (written.append(Path(new).name), replace(old, new))
    )
    calibrate(run, wished_error=WISH)
    assert written == ["best.safetensors", "test_predictions.csv", "metrics.json"]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_whoever_is_interrupted_between_two_files_runs_it_again(
    number: int, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, replace, done = contents(run), os.replace, []

    def interrupted(old: Any, new: Any) -> None:
        if len(done) == number:
            raise KeyboardInterrupt
        done.append(new)
        replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            calibrate(run, wished_error=WISH)
    after = contents(run)
    assert after.keys() == before.keys()  # nothing half-written lies about
    assert after["metrics.json"] == before["metrics.json"]
    assert (after[BEST] == before[BEST]) == (number == 0)

    calibrate(run, wished_error=WISH)
    assert_all_agree(run)


def test_nothing_is_written_if_a_test_photo_is_gone(
    run: Path, lists: Path, tmp_path: Path, run_main: RunMain
) -> None:
    photos = shutil.copytree(lists.parent / "photos", tmp_path / "photos")
    moved = shutil.copytree(lists, tmp_path / "lists")  # finds the copies of the photos
    point_to(run, moved)
    before = contents(run)
    (gone,) = photos.rglob("Green 11.jpg")
    gone.unlink()

    outcome = run_main(main, run)

    assert outcome.code == 2
    assert f"{moved / 'test.txt'}, line 4: " in outcome.err
    assert contents(run) == before


def test_the_file_inside_a_finished_run_means_the_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run / "checkpoints")
    calibrate("best.safetensors", wished_error=WISH)
    assert_all_agree(run)


def test_lists_that_have_moved_are_known_by_what_they_say(run: Path, lists: Path) -> None:
    point_to(run, lists.parent / "gone")
    answers = RunFolder(run).answers()
    calibrate(run, wished_error=WISH, data=lists)
    point_to(run, lists)
    assert_all_agree(run)
    assert [answer.path for answer in RunFolder(run).answers()] == [answer.path for answer in answers]


def test_with_photos_from_elsewhere_the_figures_are_still_those_of_its_own(
    run: Path, lists: Path, data_folder: Path
) -> None:
    shutil.copy(data_folder / "train.txt", lists / "val.txt")
    calibration = calibrate(run, wished_error=WISH, data=lists)
    assert calibration.photos == 24
    results = RunFolder(run).results()
    assert results is not None
    assert results.val is not None
    assert results.val.images == 6
    assert_all_agree(run)


def test_without_its_own_lists_a_run_is_left_alone_and_a_copy_can_be_calibrated(
    run: Path, lists: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    shutil.copy(data_folder / "train.txt", lists / "val.txt")
    point_to(run, tmp_path / "gone")
    before = contents(run)
    outcome = run_main(main, run, "--data", lists)
    assert outcome.code == 2
    assert f"{run}: its own lists are not in {tmp_path / 'gone'} any more" in outcome.err
    assert f"calibrate a copy of {run / BEST}" in outcome.err
    assert contents(run) == before

    (run / "config.yaml").unlink()
    assert f"{run}: its own lists are not known" in run_main(main, run, "--data", lists).err

    file = shutil.copy(run / BEST, tmp_path / "birds.safetensors")
    assert run_main(main, file, "--data", lists).code == 0
    assert load_classifier(file).calibration.photos == 24


def test_lists_that_have_changed_are_refused(run: Path, lists: Path, run_main: RunMain) -> None:
    point_to(run, lists)
    lines = (lists / "test.txt").read_text("utf-8").splitlines(keepends=True)
    (lists / "test.txt").write_text("".join(lines[:-1]), "utf-8")
    before = contents(run)
    outcome = run_main(main, run)
    assert outcome.code == 2
    assert f"{run}: the lists in {lists} have changed since it was trained" in outcome.err
    assert contents(run) == before


def test_a_run_without_figures_gets_a_calibration_and_its_picture(run: Path, drawn: list[str]) -> None:
    for name in ("metrics.json", "test_predictions.csv", "precision_recall.png"):
        (run / name).unlink()
    for name in ("last", "previous"):  # as `import_weights` leaves it
        (run / "checkpoints" / f"{name}.safetensors").unlink()
    calibration = calibrate(run, wished_error=WISH)
    assert load_classifier(run).calibration == calibration
    assert drawn == ["reliability.png"]
    assert not (run / "metrics.json").exists()
    assert not (run / "test_predictions.csv").exists()


def test_a_run_without_test_photos_has_no_answers_afterwards_either(
    run: Path, lists: Path, drawn: list[str]
) -> None:
    (lists / "test.txt").unlink()
    point_to(run, lists)
    stored = json.loads((run / "metrics.json").read_text("utf-8"))
    del stored["test"]
    stored["lists"] = read_data_folder(lists).digest()
    (run / "metrics.json").write_text(json.dumps(stored), "utf-8")
    (run / "test_predictions.csv").unlink()

    calibrate(run, wished_error=WISH)

    assert drawn == ["reliability.png"]
    results = RunFolder(run).results()
    assert results is not None
    assert results.scores == {"val": evaluate(run, split="val")}
    assert not (run / "test_predictions.csv").exists()
