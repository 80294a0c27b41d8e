"""Tests of what a run has come to: its figures, and what it says of each test photo."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.runs.results import Results, TestAnswer, answers_text, read_answers
from paddle_wrn.scoring.metrics import score
from paddle_wrn.system.records import read_record

# What follows the scores in `metrics.json`, in this order
REST: dict[str, Any] = {
    "kept_epoch": 2,
    "epochs": 3,
    "seconds": 1.5,
    "images_per_second": 200.25,
    "parameters": 77_395,
    "multiply_adds": 1_234_567,
    "seed": 0,
    "device": "cpu",
    "versions": {"paddle_wrn": "0.1", "paddle": "3.3.1"},
    "lists": "a fingerprint",
}


def scores(correct: int) -> dict[str, Any]:
    """Return the figures of four photos of two classes, as `metrics.json` holds them."""
    logits = np.array([[1, 0] if number < correct else [0, 1] for number in range(4)], np.float32)
    return score(logits, np.zeros(4, np.int64), ("egret", "crow"), ("白鹭", "crow")).plain()


def read(folder: Path, written: dict[str, Any]) -> Results:
    file = folder / "metrics.json"
    file.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return read_record(Results, file, "train again")


# Figures


@pytest.mark.parametrize(
    "splits",
    [{"val": scores(3), "test": scores(2)}, {"val": scores(3)}, {"test": scores(2)}, {}],
    ids=["both", "no test photos", "no validation photos", "neither"],
)
def test_what_is_written_is_what_was_read(tmp_path: Path, splits: dict[str, Any]) -> None:
    results = read(tmp_path, splits | REST)

    assert results.text() == (tmp_path / "metrics.json").read_text("utf-8")
    assert list(results.plain()) == [*splits, *REST]
    assert Results.model_validate(results.plain()) == results
    assert {name: found.plain() for name, found in results.scores.items()} == splits
    assert (results.val is None, results.test is None) == ("val" not in splits, "test" not in splits)


def test_a_run_of_an_early_version_is_read(tmp_path: Path) -> None:
    early = {name: value for name, value in REST.items() if name != "lists"}

    results = read(tmp_path, {"val": scores(3)} | early)

    assert results.lists is None
    assert results.val is not None
    assert results.val.calibration is None


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, REST | {"weather": "fine"}) == read(tmp_path, REST)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"seconds": "many"}, "seconds"),
        ({"val": {}}, "val.images"),
        ({"test": scores(2) | {"per_class": [{}]}}, "test.per_class.0.class"),
    ],
)
def test_figures_that_cannot_be_read_are_a_sentence(
    changes: dict[str, Any], where: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"metrics.json: {where} is not .*; train again$"):
        read(tmp_path, REST | changes)


# Answers

ANSWERS = [
    TestAnswer("photos/a, b.jpg", "egret", "egret", 0.875, True),
    TestAnswer("photos/白鹭.jpg", "egret", 'the "crow"', 0.5, False),
]
TEXT = """\
path,class,predicted,probability,sure
"photos/a, b.jpg",egret,egret,0.875000,yes
photos/白鹭.jpg,egret,"the ""crow""\",0.500000,no
"""


def read_text(folder: Path, text: str) -> list[TestAnswer]:
    file = folder / "test_predictions.csv"
    file.write_text(text, encoding="utf-8")
    return read_answers(file)


def test_answers_that_are_written_are_read_back(tmp_path: Path) -> None:
    assert answers_text(ANSWERS) == TEXT
    assert read_text(tmp_path, TEXT) == ANSWERS
    assert [answer.correct for answer in ANSWERS] == [True, False]


def test_a_probability_has_six_places(tmp_path: Path) -> None:
    (answer,) = read_text(tmp_path, answers_text([TestAnswer("a.jpg", "b", "b", 2 / 3, True)]))
    assert answer.probability == 0.666667


def test_answers_of_an_early_version_are_all_sure(tmp_path: Path) -> None:
    text = "path,class,predicted,probability\na.jpg,egret,crow,0.25\n"
    assert read_text(tmp_path, text) == [TestAnswer("a.jpg", "egret", "crow", 0.25, True)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"", "not what training wrote"),
        (b"path,class\na.jpg,b\n", "not what training wrote"),
        (b"path,class,predicted,probability\na.jpg,b\n", "not what training wrote"),
        (b"path,class,predicted,probability\na.jpg,b,b,0.5,yes\n", "not what training wrote"),
        (b"path,class,predicted,probability\na.jpg,b,b,high\n", "not what training wrote"),
        (b"path,class,predicted,probability\n\xff\n", "not a CSV file"),
    ],
    ids=["missing", "empty", "other columns", "short line", "long line", "no number", "not UTF-8"],
)
def test_predictions_that_cannot_be_read_are_a_sentence(
    content: bytes | None, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "test_predictions.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=f"test_predictions.csv: {complaint}.*--again"):
        read_answers(file)
