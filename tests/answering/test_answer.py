"""Answers: what is made of logits, for every network alike."""

from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import paddle
import pytest

from paddle_wrn.answering.answer import Answer, answers_from
from paddle_wrn.answering.calibration import NEVER, Calibration
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.photos.preprocessing import Preprocessing


def classifier_with(calibration: Calibration) -> Classifier:
    """Return what answers are made with; the network itself is not asked."""
    names = ("a", "b", "c")
    contract = Preprocessing(size=8, mean=(0, 0, 0), std=(1, 1, 1), classes=names, display_names=names)
    return Classifier(paddle.nn.Layer(), contract, calibration=calibration)


def logits_of(rows: Sequence[Sequence[float]]) -> Any:
    return np.log(np.array(rows)).astype(np.float32)


def test_classes_come_in_the_order_of_their_probabilities() -> None:
    first, second = answers_from(
        classifier_with(Calibration()), logits_of([[0.2, 0.7, 0.1], [0.3, 0.3, 0.4]])
    )

    assert first.labels == (1, 0, 2)
    assert first.probabilities == pytest.approx((0.7, 0.2, 0.1))
    assert (first.label, first.probability) == (1, first.probabilities[0])
    assert second.labels == (2, 0, 1)  # of two equal ones, the first in the list of classes


def test_probabilities_are_those_at_the_temperature() -> None:
    (answer,) = answers_from(classifier_with(Calibration(temperature=0.5)), logits_of([[0.6, 0.3, 0.1]]))

    squares = np.array([0.36, 0.09, 0.01])
    assert answer.probabilities == pytest.approx(tuple(squares / squares.sum()))
    assert sum(answer.probabilities) == pytest.approx(1)


@pytest.mark.parametrize(
    ("threshold", "verdicts"),
    [(0.0, ["sure", "sure"]), (0.55, ["sure", "not_sure"]), (NEVER, ["not_sure", "not_sure"])],
)
def test_the_threshold_decides_what_is_sure(threshold: float, verdicts: list[str]) -> None:
    answers = answers_from(
        classifier_with(Calibration(threshold=threshold)), logits_of([[0.1, 0.6, 0.3], [0.5, 0.4, 0.1]])
    )

    assert [answer.verdict for answer in answers] == verdicts
    assert [answer.sure for answer in answers] == [verdict == "sure" for verdict in verdicts]


def test_a_probability_at_the_threshold_is_sure() -> None:
    logits = logits_of([[0.1, 0.6, 0.3]])
    (answer,) = answers_from(classifier_with(Calibration()), logits)

    (same,) = answers_from(classifier_with(Calibration(threshold=answer.probability)), logits)
    assert same.sure


def test_an_answer_is_plain_and_stays_as_it_is() -> None:
    (answer,) = answers_from(classifier_with(Calibration()), logits_of([[0.1, 0.6, 0.3]]))

    assert {type(value) for value in (*answer.labels, *answer.probabilities)} == {int, float}
    assert answer == Answer(answer.labels, answer.probabilities, "sure")
    with pytest.raises(FrozenInstanceError):
        answer.verdict = "not_sure"  # type: ignore[misc]


def test_no_logits_are_no_answers() -> None:
    assert answers_from(classifier_with(Calibration()), np.zeros((0, 3), np.float32)) == []
