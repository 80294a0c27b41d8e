"""Honest probabilities: the temperature and the threshold that are fitted, and how they are judged."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.metrics import log_loss

from paddle_wrn.answering.calibration import (
    NEVER,
    Calibration,
    describe_calibration,
    fit,
    score_calibrated,
)
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.scoring import metrics
from paddle_wrn.scoring.reliability import expected_calibration_error, reliability
from paddle_wrn.scoring.scores import CalibrationScores, Scores

Case = tuple[NDArray[np.float32], NDArray[np.int64]]


def honest_case(count: int, temperature: float, classes: int = 5, seed: int = 0) -> Case:
    """Return logits whose probabilities are true at `temperature`, and labels drawn from these."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 2.5, (count, classes))
    cumulative = metrics.softmax(true).cumsum(axis=1)
    labels = (cumulative > rng.random((count, 1))).argmax(axis=1)
    return (true * temperature).astype(np.float32), labels


def answers(confidence: list[float], right: list[bool]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities of 100 classes with these highest ones, all of class 0, and labels."""
    first = np.array(confidence)[:, None]
    rest = np.repeat((1 - first) / 99, 99, axis=1)
    return np.hstack([first, rest]), np.where(right, 0, 1)


def threshold_of(confidence: list[float], right: list[bool], wished_error: float) -> float:
    """Return the threshold for answers that are probable enough already to need no temperature."""
    from paddle_wrn.answering.calibration import _fit_threshold

    return _fit_threshold(*answers(confidence, right), wished_error)


# The temperature


@pytest.mark.parametrize("temperature", [0.25, 0.7, 1.0, 1.5, 6.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    assert fit(*honest_case(20_000, temperature)).temperature == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_has_a_lower_cross_entropy() -> None:
    logits, labels = honest_case(5_000, 2)
    calibration = fit(logits, labels)
    best = log_loss(labels, calibration.probabilities(logits))
    for factor in (0.97, 1.03):
        other = Calibration(temperature=calibration.temperature * factor)
        assert log_loss(labels, other.probabilities(logits)) > best


@pytest.mark.parametrize("temperature", [1 / 20, 0.3, 3, 20])
def test_classes_keep_their_order(temperature: float) -> None:
    logits, _ = honest_case(500, 1)
    logits[0, :2] = 8, np.nextafter(np.float32(8), np.float32(9))  # as close as two answers can be
    probabilities = Calibration(temperature=temperature).probabilities(logits)
    np.testing.assert_array_equal(probabilities.argsort(axis=1), logits.argsort(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)


def test_without_a_fit_probabilities_are_the_networks_and_every_answer_is_sure() -> None:
    logits, _ = honest_case(50, 1)
    probabilities = Calibration().probabilities(logits)
    np.testing.assert_array_equal(probabilities, metrics.softmax(logits))
    assert Calibration().sure(probabilities).all()


@pytest.mark.parametrize("count", [1, 5, 30])
def test_few_photos_that_are_all_right_are_no_reason_for_certainty(count: int) -> None:
    logits = np.tile(np.array([4, 0, 0], np.float32), (count, 1))
    calibration = fit(logits, np.zeros(count, int))
    # The share of the target that stays with the class, and its part of what is spread.
    expected = 1 - 1 / (count + 1) * 2 / 3
    assert calibration.probabilities(logits)[:, 0] == pytest.approx([expected] * count, abs=1e-4)


def test_a_network_that_is_always_wrong_ends_near_even_probabilities() -> None:
    logits = np.tile(np.array([4, 0, 0], np.float32), (50, 1))
    calibration = fit(logits, np.ones(50, int))
    assert calibration.probabilities(logits).max() < 0.4
    assert calibration.threshold == NEVER


def test_equal_logits_need_no_temperature() -> None:
    calibration = fit(np.zeros((10, 4), np.float32), np.arange(10) % 4)
    assert (calibration.temperature, calibration.threshold) == (1, NEVER)


def test_no_photos_fit_nothing() -> None:
    calibration = fit(np.zeros((0, 3), np.float32), np.zeros(0, int), 0.1)
    assert calibration == Calibration(wished_error=0.1)
    assert str(calibration) == "the probabilities are not calibrated, and no answer is called not sure"


# The threshold


def test_the_threshold_is_the_smallest_probability_that_keeps_the_wish() -> None:
    confidence = [0.99, 0.98, 0.97, 0.96, 0.95, 0.9]
    right = [True, True, False, True, True, False]
    assert threshold_of(confidence, right, 0.2) == 0.95  # one of five wrong, exactly the wish
    assert threshold_of(confidence, right, 0.19) == 0.98
    assert threshold_of(confidence, right, 1 / 3) == 0.9


def test_beyond_an_error_many_right_answers_may_follow() -> None:
    assert threshold_of([0.99, *[0.98] * 30, 0.97], [False, *[True] * 31], 0.05) == 0.97


def test_the_probabilities_themselves_must_keep_the_wish_too() -> None:
    confidence = [0.99, 0.97, 0.92, 0.6]
    assert threshold_of(confidence, [True] * 4, 0.05) == 0.92  # on average 0.96
    assert threshold_of(confidence, [True] * 4, 0.2) == 0.6  # never below what was seen


@pytest.mark.parametrize(("right", "threshold"), [([True] * 5, 0.99), ([False, *[True] * 4], NEVER)])
def test_equal_probabilities_are_sure_together_or_not_at_all(right: list[bool], threshold: float) -> None:
    assert threshold_of([0.99] * 5, right, 0.05) == threshold


def test_where_even_the_most_probable_answer_is_wrong_none_is_sure() -> None:
    confidence = [0.999, 0.99, 0.98]
    assert threshold_of(confidence, [False, True, True], 0.05) == NEVER
    probabilities, _ = answers(confidence, [True] * 3)
    calibration = Calibration(threshold=NEVER, photos=3)
    assert not calibration.sure(probabilities).any()
    assert not calibration.sure(np.array([[1.0, 0.0]])).any()


def test_five_photos_are_too_few_for_a_small_error_rate() -> None:
    logits = np.tile(np.array([6, 0, 0], np.float32), (5, 1))
    calibration = fit(logits, np.zeros(5, int))
    assert calibration.threshold == NEVER
    assert "no answer is sure enough for an error rate of 0.05" in str(calibration)
    assert str(calibration).endswith("5 validation photos, too few to show an error rate of 0.05")
    assert fit(logits, np.zeros(5, int), 0.2).threshold < 1


def test_the_answer_at_the_threshold_is_sure() -> None:
    calibration = Calibration(threshold=0.6, photos=10)
    sure = calibration.sure(np.array([[0.6, 0.4], [0.3, 0.7], [0.59, 0.41]]))
    assert sure.tolist() == [True, True, False]


@pytest.mark.parametrize("wished_error", [0.02, 0.05, 0.2])
def test_with_many_photos_the_wish_is_kept_on_others(wished_error: float) -> None:
    calibration = fit(*honest_case(5_000, 2, seed=1), wished_error)
    logits, labels = honest_case(50_000, 2, seed=2)
    trust = trust_in(score(logits, labels, calibration))
    assert trust.sure_error == pytest.approx(wished_error, rel=0.25)
    assert trust.ece < 0.01 < trust.ece_uncalibrated


# How it is judged


def score(logits: NDArray[Any], labels: NDArray[Any], calibration: Calibration) -> Scores:
    names = tuple(f"class {label}" for label in range(logits.shape[1]))
    contract = Preprocessing(size=8, mean=(0, 0, 0), std=(1, 1, 1), classes=names, display_names=names)
    return score_calibrated(logits, labels, contract, calibration)


def trust_in(scores: Scores) -> CalibrationScores:
    assert scores.calibration is not None
    return scores.calibration


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.55, 0.45], [0.43, 0.57], [0.95, 0.05], [1, 0]])
    parts = reliability(probabilities, np.array([0, 0, 0, 0]))
    assert [(part.low, part.high, part.count) for part in parts] == [(0.5, 0.6, 2), (0.9, 1.0, 2)]
    assert [part.confidence for part in parts] == pytest.approx([0.56, 0.975])
    assert [part.accuracy for part in parts] == [0.5, 1]
    assert parts[0].interval_95 == metrics.wilson_interval(1, 2)
    error = expected_calibration_error(probabilities, np.array([0, 0, 0, 0]))
    assert error == pytest.approx((2 * 0.06 + 2 * 0.025) / 4)


def test_one_part_compares_the_means() -> None:
    logits, labels = honest_case(300, 3)
    probabilities = metrics.softmax(logits)
    gap = abs(probabilities.max(axis=1).mean() - metrics.accuracy(logits, labels))
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(gap)


def test_scores_by_hand() -> None:
    probabilities, labels = answers([0.95, 0.85, 0.75, 0.35], [True, False, True, False])
    calibration = Calibration(temperature=2, threshold=0.65, wished_error=0.4, photos=30)
    logits = 2 * np.log(probabilities)
    found = score(logits, labels, calibration)
    assert (found.correct, found.images) == (2, 4)
    assert found.loss == pytest.approx(metrics.cross_entropy(np.log(probabilities), labels))
    judged = trust_in(found)
    assert judged.plain() | calibration.model_dump() == judged.plain()
    assert judged.loss_uncalibrated == metrics.cross_entropy(logits, labels)
    assert judged.ece == pytest.approx((0.05 + 0.85 + 0.25 + 0.35) / 4)
    assert judged.ece_uncalibrated == expected_calibration_error(metrics.softmax(logits), labels)
    assert (judged.sure, judged.coverage, judged.sure_wrong) == (3, 0.75, 1)
    assert judged.sure_error == 1 / 3
    assert judged.sure_error_interval_95 == metrics.wilson_interval(1, 3)
    assert Scores.model_validate_json(found.text()) == found
    first, second = describe_calibration(found)
    assert first == f"calibration error 0.375 ({judged.ece_uncalibrated:.3f} without the temperature)"
    assert second.startswith("sure answers 3 of 4, 1 of them wrong: 0.333 (wished: at most 0.4; ")


def test_scores_where_no_answer_is_sure() -> None:
    found = score(*honest_case(20, 1), Calibration(threshold=NEVER, photos=20))
    judged = trust_in(found)
    assert (judged.sure, judged.coverage, judged.sure_wrong) == (0, 0, 0)
    assert judged.sure_error is judged.sure_error_interval_95 is None
    assert describe_calibration(found)[1] == "sure answers 0 of 20"


def test_scores_of_an_uncalibrated_network_say_how_to_calibrate_it() -> None:
    logits, labels = honest_case(20, 1)
    found = score(logits, labels, Calibration())
    assert found.loss == trust_in(found).loss_uncalibrated == metrics.cross_entropy(logits, labels)
    (line,) = describe_calibration(found)
    assert line.endswith("(not calibrated; python -m paddle_wrn.calibrate does that)")


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 0},
        {"temperature": float("nan")},
        {"threshold": -0.1},
        {"wished_error": 1},
        {"heat": 2},
    ],
    ids=str,
)
def test_an_impossible_calibration_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Calibration(**values)  # type: ignore[arg-type]
