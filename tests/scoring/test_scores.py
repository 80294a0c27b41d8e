"""Tests of the figures as a record: what the files hold, and that they are read back equal."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from paddle_wrn.scoring.scores import Scores

# The figures of four photos, as the files of a run hold them: the same names in the same order.
WRITTEN: dict[str, Any] = {
    "images": 4,
    "correct": 3,
    "accuracy": 0.75,
    "interval_95": [0.3, 0.95],
    "top_k": {"2": 1.0},
    "loss": 0.5,
    "per_class": [
        {"class": "a", "display_name": "甲", "images": 2, "precision": 1.0, "recall": 0.5, "f1": 0.75},
        {"class": "b", "display_name": "b", "images": 1, "precision": 0.5, "recall": 1.0, "f1": 0.625},
        {"class": "c", "display_name": "c", "images": 1, "precision": 1.0, "recall": 1.0, "f1": 1.0},
    ],
    "confusion": [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
    "calibration": {
        "temperature": 1.5,
        "threshold": 0.8,
        "wished_error": 0.05,
        "photos": 6,
        "ece": 0.1,
        "ece_uncalibrated": 0.2,
        "loss_uncalibrated": 0.6,
        "sure": 2,
        "coverage": 0.5,
        "sure_wrong": 0,
        "sure_error": 0.0,
        "sure_error_interval_95": [0.0, 0.66],
    },
}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in WRITTEN.items() if name not in names}


def none_sure() -> dict[str, Any]:
    figures = {
        "sure": 0,
        "coverage": 0.0,
        "sure_wrong": 0,
        "sure_error": None,
        "sure_error_interval_95": None,
    }
    return WRITTEN | {"calibration": WRITTEN["calibration"] | figures}


@pytest.mark.parametrize(
    "written", [WRITTEN, none_sure(), without("calibration")], ids=["all", "none sure", "early version"]
)
def test_what_is_written_is_what_was_read(written: dict[str, Any]) -> None:
    text = json.dumps(written, indent=2, ensure_ascii=False) + "\n"

    scores = Scores.model_validate_json(text)

    assert scores.text() == text
    assert json.loads(scores.line()) == scores.plain() == written
    assert Scores.model_validate(scores.plain()) == scores


def test_names_and_numbers_are_at_hand() -> None:
    scores = Scores.model_validate(WRITTEN)

    assert [(row.name, row.display_name) for row in scores.per_class] == [("a", "甲"), ("b", "b"), ("c", "c")]
    assert scores.top_k == {2: 1.0}
    assert scores.confusion[0][1] == 1
    assert scores.calibration is not None
    assert scores.calibration.sure_error_interval_95 == (0.0, 0.66)


def test_figures_that_early_versions_did_not_measure_are_none() -> None:
    assert Scores.model_validate(without("calibration")).calibration is None


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert Scores.model_validate(WRITTEN | {"new": 1}) == Scores.model_validate(WRITTEN)


@pytest.mark.parametrize(
    "changes", [{"images": 0}, {"images": "many"}, {"loss": float("nan")}, {"confusion": [[1.5]]}]
)
def test_what_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        Scores.model_validate(WRITTEN | changes)


def test_nobody_changes_a_figure_by_mistake() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Scores.model_validate(WRITTEN).accuracy = 1.0  # type: ignore[misc]


def test_an_accuracy_is_told_in_one_line_with_its_doubt() -> None:
    found = {"accuracy": 28 / 30, "correct": 28, "images": 30, "interval_95": (0.7868, 0.9815)}

    text = str(Scores.model_validate(WRITTEN | found))

    assert text == "0.933 (28 of 30 right; the true rate is likely between 0.787 and 0.982)"
