"""Runs that version 0.1.0 wrote still do what they did; see the README of the fixture."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import RunMain
from rounding import logit_rounding

from paddle_wrn import evaluate, predict, train
from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.answering.prediction import Prediction
from paddle_wrn.drawing import plots
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.report import main as report_main

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_of_version_1"
BEST = "checkpoints/best.safetensors"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the folder in which the runs were trained, and stand in it."""
    copy = shutil.copytree(FIXTURE, tmp_path / "old")
    monkeypatch.chdir(copy)
    return copy


def history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text("utf-8").splitlines()]


def off(split: str) -> float:
    """Return how far apart rounding may put two logits of a photo, before they are calibrated."""
    photos = load_photos(read_data_folder("data").split(split), 32, draft=True)
    return logit_rounding(replace(load_classifier("finished"), calibration=Calibration()), photos.images)


def figures(scores: Any, name: str = "") -> dict[str, Any]:
    """Return all that is nested in scores, by dotted name."""
    if isinstance(scores, dict):
        inside = [figures(value, f"{name}.{key}") for key, value in scores.items()]
    elif isinstance(scores, list):
        inside = [figures(value, f"{name}.{index}") for index, value in enumerate(scores)]
    else:
        return {name: scores}
    return {key: value for part in inside for key, value in part.items()}


def test_the_fixture_is_small() -> None:
    assert sum(file.stat().st_size for file in FIXTURE.rglob("*") if file.is_file()) < 2**20


@pytest.mark.numeric
@pytest.mark.parametrize("given", ["finished", f"finished/{BEST}"])
def test_the_network_says_of_each_photo_what_it_said(given: str, old: Path) -> None:
    with Path("finished/test_predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    answers = list(predict.predict(given, [Path("data", row["path"]) for row in rows]))
    for answer, row in zip(answers, rows, strict=True):
        assert isinstance(answer, Prediction)
        assert (answer.class_name, answer.sure) == (row["predicted"], row["sure"] == "yes")
        written = pytest.approx(float(row["probability"]), abs=off("test") / 2 + 1e-6)  # six digits
        assert answer.probability == written


@pytest.mark.numeric
@pytest.mark.parametrize("split", ["val", "test"])
def test_its_figures_are_the_stored_ones(split: str, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    stored = json.loads(Path("finished/metrics.json").read_text("utf-8"))[split]
    found = evaluate.evaluate("finished", split=split).plain()
    assert found.keys() == stored.keys()
    assert figures(found) == pytest.approx(figures(stored), abs=2 * off(split))


def test_the_command_line_scores_it_from_elsewhere(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_main(evaluate.main, "old/finished", "--data", "old/data")
    assert outcome.code == 0
    assert "accuracy 0.250 (2 of 8 right" in outcome.out


def test_it_is_not_trained_again(old: Path, run_main: RunMain) -> None:
    before = {file: file.read_bytes() for file in old.rglob("*") if file.is_file()}
    for words in (["--resume"], ["--config", "finished/config.yaml"]):
        outcome = run_main(train.main, "--output", "finished", *words)
        assert outcome.code == 0
        assert outcome.out.startswith("finished: trained already (test accuracy 0.250), so nothing is done")
    assert {file: file.read_bytes() for file in old.rglob("*") if file.is_file()} == before


@pytest.mark.numeric
def test_a_stopped_run_continues_as_it_would_have(old: Path, run_main: RunMain) -> None:
    """Figures differ by 1e-7 from one processor to another, and by 1e-2 if the momentum is lost."""
    expected = [json.loads(line) for line in Path("continued.jsonl").read_text("utf-8").splitlines()]
    first = history(Path("stopped"))
    assert run_main(train.main, "--resume", "--output", "stopped").code == 0
    found = history(Path("stopped"))
    assert found[:1] == first
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in theirs.keys() - {"images_per_second", "seconds"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4), name
    metrics = json.loads(Path("stopped/metrics.json").read_text("utf-8"))
    assert (metrics["epochs"], metrics["kept_epoch"]) == (3, 3)


def test_a_damaged_last_checkpoint_is_replaced_by_the_one_before(old: Path, run_main: RunMain) -> None:
    Path("stopped/checkpoints/last.safetensors").write_bytes(b"damaged")
    outcome = run_main(train.main, "--resume", "--output", "stopped")
    assert outcome.code == 0
    assert len(history(Path("stopped"))) == 3


def test_a_report_is_written(old: Path, run_main: RunMain) -> None:
    outcome = run_main(report_main, "finished")
    assert outcome.code == 0
    page = Path("finished/report.html").read_text("utf-8")
    assert "Bananaquit" in page
    assert "2 of 8" in page


def test_it_goes_on_as_weights_to_begin_with(old: Path, run_main: RunMain) -> None:
    words = ["--data", "data", "--output", "new", "--model.weights", f"finished/{BEST}", "--epochs", 1]
    words += ["--batch_size", 4, "--input.size", 32, "--augment.crop_size", "null"]
    words += [
        "--model.name",
        "wrn_10_1",
        "--model.options",
        "{strides: [2, 1, 2, 2]}",
        "--optimizer.lr",
        1e-6,
    ]
    outcome = run_main(train.main, *words)
    assert outcome.code == 0
    assert f"finished/{BEST}" in outcome.out
    assert (old / "new" / "metrics.json").is_file()
