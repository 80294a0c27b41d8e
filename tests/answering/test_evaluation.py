"""Scoring a trained network: figures that equal a count by hand, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import RunMain
from numpy.typing import NDArray
from PIL import Image
from rounding import logit_rounding

from paddle_wrn.answering import classifier as inference
from paddle_wrn.answering.calibration import Calibration, describe_calibration
from paddle_wrn.answering.classifier import load_classifier, store_calibration
from paddle_wrn.answering.evaluation import evaluate
from paddle_wrn.drawing import plots, sheets
from paddle_wrn.evaluate import main
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.scoring.scores import Scores

BEST = "checkpoints/best.safetensors"


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes longer than all else."""
    monkeypatch.setattr(plots, "save", lambda figure, path: None)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run, elsewhere."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def best(trained: Path, tmp_path: Path) -> Path:
    """Return the one file somebody would hand over."""
    return shutil.copy(trained / BEST, tmp_path / "birds.safetensors")


def confusion_by_hand(run: Path, data_folder: Path, split: str) -> list[list[int]]:
    classifier = load_classifier(run)
    listed = read_data_folder(data_folder).split(split)
    confusion = np.zeros((3, 3), int)
    for path, label in zip(listed.paths, listed.labels, strict=True):
        confusion[label, classifier.logits(classifier.preprocessing.load(path)[None]).argmax()] += 1
    return confusion.tolist()


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(("split", "images"), [("train", 24), ("val", 6), ("test", 6)])
def test_figures_equal_a_count_by_hand(split: str, images: int, run: Path, data_folder: Path) -> None:
    scores = evaluate(run, split=split)
    by_hand = confusion_by_hand(run, data_folder, split)
    np.testing.assert_array_equal(scores.confusion, by_hand)
    assert (scores.images, scores.correct) == (images, np.trace(by_hand))
    assert scores.accuracy == np.trace(by_hand) / images


@pytest.mark.numeric
@pytest.mark.usefixtures("no_figures")
def test_figures_are_those_of_training(run: Path) -> None:
    trained = json.loads((run / "metrics.json").read_text("utf-8"))
    assert evaluate(run, split="test").plain() == trained["test"]
    assert evaluate(run, split="val").plain() == trained["val"]


@pytest.mark.numeric
@pytest.mark.usefixtures("no_figures")
def test_a_remainder_batch_counts_like_the_others(
    run: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, whole = load_classifier(run), evaluate(run, split="train").plain()
    off = logit_rounding(classifier, load_photos(read_data_folder(data_folder).train, 16, draft=True).images)
    monkeypatch.setattr(inference, "BATCH_SIZE", 7)
    parts = evaluate(run, split="train").plain()
    assert parts.pop("loss") == pytest.approx(whole.pop("loss"), abs=2 * off)
    assert parts.pop("calibration")["ece"] == pytest.approx(whole.pop("calibration")["ece"], abs=off)
    assert parts == whole


def test_command_prints_a_table_and_writes_it_down(run: Path, run_main: RunMain) -> None:
    outcome = run_main(main, run, "--split", "val")
    assert outcome.code == 0
    stored = json.loads((run / "evaluation" / "val.json").read_text("utf-8"))
    assert f"accuracy {stored['accuracy']:.3f} ({stored['correct']} of 6 right" in outcome.out
    assert "top-2 accuracy" in outcome.out
    for line in describe_calibration(Scores.model_validate(stored)):
        assert line in outcome.out.splitlines()
    for name in ("Blue Disc (蓝圆)", "Green", "红 三角 (Red Triangle)"):
        assert any(line.endswith(f"  {name}") for line in outcome.out.splitlines())
    written = {file.name: file for file in (run / "evaluation").iterdir()}
    pictures = {"val_confusion.png", "val_photos.png", "val_reliability.png"}
    assert written.keys() == {"val.json"} | pictures
    for name in pictures:
        with Image.open(written[name]) as picture:
            assert picture.format == "PNG"
            picture.load()


class Sheet(NamedTuple):
    """What the picture of photos was to show."""

    images: Any
    captions: list[str]
    wrong: list[bool]


def sheet_of(
    logits: NDArray[np.float32], run: Path, list_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Sheet:
    """Return the sheet that is drawn of a list when the network says `logits`."""
    drawn: list[Sheet] = []
    monkeypatch.setattr(inference.Classifier, "logits", lambda *_: logits)
    monkeypatch.setattr(sheets, "photo_sheet", lambda *given: drawn.append(Sheet(*given)))
    monkeypatch.setattr(plots, "can_draw", lambda text: True)
    evaluate(run, list_file=list_file)
    (sheet,) = drawn
    return sheet


def logits_for(predicted: list[int], confidence: list[float]) -> NDArray[np.float32]:
    """Return logits of three classes that make these predictions with these probabilities."""
    rows = np.tile((1 - np.array(confidence)[:, None]) / 2, (1, 3))
    rows[np.arange(len(predicted)), predicted] = confidence
    return np.log(rows).astype(np.float32)


@pytest.mark.usefixtures("no_figures")
def test_the_photos_drawn_are_confident_errors_then_doubtful_right_answers(
    run: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    #  true       0    0    1    1    2    2
    predicted = [0, 1, 1, 2, 2, 0]
    confidence = [0.9, 0.5, 0.4, 0.8, 0.6, 0.5]

    store_calibration(run, Calibration(temperature=0.5, threshold=0.55, photos=40))

    logits = logits_for(predicted, confidence) / 2
    sheet = sheet_of(logits, run, data_folder / "val.txt", monkeypatch)

    assert sheet.captions == [
        "Red Triangle 80%\nis Green",
        *("Green 50%\nis 蓝圆\nnot sure", "蓝圆 50%\nis Red Triangle\nnot sure"),
        *("Green 40%\nnot sure", "Red Triangle 60%", "蓝圆 90%"),
    ]
    assert sheet.wrong == [True] * 3 + [False] * 3
    paths = read_data_folder(data_folder).split("val").paths
    contract = load_classifier(run).preprocessing
    expected = [contract.load(paths[i]) for i in (3, 1, 5, 2, 4, 0)]
    np.testing.assert_array_equal(sheet.images, expected)


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("wrong", [30, 10, 0])
def test_no_more_than_24_photos_are_drawn(
    wrong: int, run: Path, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = sorted(photo_folder.rglob("*.jpg"))
    (tmp_path / "all.txt").write_text("".join(f"{photo} 0\n" for photo in every), "utf-8")
    confidence = np.random.default_rng(0).permutation(np.linspace(0.4, 0.95, 36))
    predicted = [1] * wrong + [0] * (36 - wrong)

    store_calibration(run, Calibration())
    sheet = sheet_of(logits_for(predicted, confidence.tolist()), run, tmp_path / "all.txt", monkeypatch)

    shown_wrong = min(wrong, 24)
    shares = sorted(confidence[:wrong], reverse=True) + sorted(confidence[wrong:])
    assert len(sheet.images) == len(sheet.captions) == 24
    assert sheet.wrong == [True] * shown_wrong + [False] * (24 - shown_wrong)
    assert [caption.split("%")[0].split()[-1] for caption in sheet.captions] == [
        f"{100 * share:.0f}" for share in shares[:24]
    ]


def test_any_list_can_be_scored(run: Path, data_folder: Path, photo_folder: Path, tmp_path: Path) -> None:
    lines = [f"{photo} 1\n" for photo in sorted((photo_folder / "Green").iterdir())]
    (tmp_path / "绿.txt").write_text("".join(lines), "utf-8")
    scores = evaluate(run, list_file=tmp_path / "绿.txt")
    assert scores.images == scores.per_class[1].images == 12
    written = {file.name for file in (run / "evaluation").iterdir()}
    assert written == {"绿.json", "绿_confusion.png", "绿_photos.png", "绿_reliability.png"}
    assert evaluate(run, list_file=data_folder / "val.txt") == evaluate(run, split="val")


def test_the_handed_over_file_is_enough(best: Path, trained: Path, data_folder: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    stored = json.loads((trained / "metrics.json").read_text("utf-8"))
    assert evaluate(best, data=data_folder).plain() == stored["test"]
    assert evaluate(best, list_file=data_folder / "val.txt").plain() == stored["val"]
    assert sorted(tmp_path.iterdir()) == before


def test_the_handed_over_file_does_not_know_its_photos(best: Path, run_main: RunMain) -> None:
    outcome = run_main(main, best)
    assert outcome.code == 2
    assert "give --data or --list" in outcome.err


@pytest.mark.parametrize("way", ["data", "list"])
@pytest.mark.parametrize("classes", ["Green\nBlue Disc\n红 三角\n", "Blue Disc\nGreen\n"])
def test_other_classes_are_refused(
    way: str, classes: str, run: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    photos = data_folder.parent / "photos"
    lines = [f"{photos}/Green/Green 00.jpg {label}\n" for label in range(classes.count("\n"))]
    for name in ("train.txt", "test.txt"):
        (lists / name).write_text("".join(lines), "utf-8")
    (lists / "classes.txt").write_text(classes, "utf-8")
    given = ("--data", lists) if way == "data" else ("--list", lists / "test.txt")
    outcome = run_main(main, run, *given)
    assert outcome.code == 2
    assert "but the network was trained on Blue Disc, Green, 红 三角" in outcome.err
    assert not (run / "evaluation").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        ("", "the list is empty"),
        ("\n\n", "the list is empty"),
        ("a.jpg\n", "`path label` is needed"),
        ("a.jpg 3\n", "label 3 is out of range"),
        ("a.jpg 1\n", "line 1: "),
    ],
    ids=["missing", "empty", "blank", "no label", "label", "photo"],
)
def test_a_bad_list_is_refused(
    content: str | None, complaint: str, run: Path, tmp_path: Path, run_main: RunMain
) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_text(content, "utf-8")
    outcome = run_main(main, run, "--list", tmp_path / "list.txt")
    assert outcome.code == 2
    assert str(tmp_path / "list.txt") in outcome.err
    assert complaint in outcome.err
    assert not (run / "evaluation").exists()


def test_a_list_that_was_not_split_off_is_refused(
    run: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    lists = shutil.copytree(data_folder, tmp_path / "lists")
    (lists / "test.txt").unlink()
    outcome = run_main(main, run, "--data", lists)
    assert outcome.code == 2
    assert f"{lists / 'test.txt'}: no such list" in outcome.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--split", "all"), "choose train, val or test"),
        (("--data", "nowhere"), "nowhere: no such folder"),
        (("--device", "gpu"), "device gpu: "),
        (("--top-k", "3"), "unrecognized arguments"),
    ],
)
def test_bad_arguments_are_refused(
    words: tuple[str, str], complaint: str, run: Path, run_main: RunMain
) -> None:
    outcome = run_main(main, run, *words)
    assert outcome.code == 2
    assert complaint in outcome.err


def test_a_folder_without_a_network_is_refused(tmp_path: Path, run_main: RunMain) -> None:
    assert "no such run folder" in run_main(main, tmp_path / "gone").err
    outcome = run_main(main, tmp_path)
    assert outcome.code == 2
    assert "holds no trained network" in outcome.err
