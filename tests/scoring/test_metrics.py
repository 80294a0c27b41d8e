"""Tests of the figures against scikit-learn, SciPy and numbers made by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special
from sklearn import metrics as sklearn_metrics

from paddle_wrn.errors import UserError
from paddle_wrn.scoring.metrics import (
    Logits,
    accuracy,
    cross_entropy,
    precision_recall,
    score,
    softmax,
    wilson_interval,
)
from paddle_wrn.scoring.scores import Scores


def scored(logits: Logits, labels: NDArray[np.int64]) -> Scores:
    names = [f"class {i}" for i in range(logits.shape[1])]
    return score(logits, labels, names, ["类", *names[1:]])


def random_case(count: int = 103, classes: int = 7) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (count, classes)).astype(np.float32), rng.integers(0, classes, count)


EXTREME = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [88.8, 89, -500]], np.float32)


@pytest.mark.parametrize("logits", [random_case()[0], EXTREME], ids=["random", "extreme"])
def test_probabilities_are_scipys(logits: NDArray[np.float32]) -> None:
    found = softmax(logits)

    np.testing.assert_allclose(found, special.softmax(logits.astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-12)


def test_cross_entropy_is_scikit_learns() -> None:
    logits, labels = random_case()

    expected = sklearn_metrics.log_loss(labels, special.softmax(logits.astype(np.float64), axis=1))
    assert cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-9)


def test_cross_entropy_by_hand() -> None:
    assert cross_entropy(np.zeros((3, 4), np.float32), np.array([0, 1, 3])) == pytest.approx(math.log(4))
    assert cross_entropy(EXTREME[:1], np.array([0])) == 0
    assert cross_entropy(EXTREME[:1], np.array([1])) == 20_000  # finite, however sure and wrong


@pytest.mark.parametrize("top_k", [1, 2, 6])
def test_accuracy_is_scikit_learns(top_k: int) -> None:
    logits, labels = random_case()

    expected = sklearn_metrics.top_k_accuracy_score(labels, logits, k=top_k, labels=range(7))
    assert accuracy(logits, labels, top_k) == pytest.approx(expected)


def test_accuracy_by_hand() -> None:
    logits = np.array([[3, 2, 1], [1, 2, 3], [2, 3, 1], [1, 3, 2]], np.float32)
    labels = np.array([0, 0, 0, 1])

    assert [accuracy(logits, labels, k) for k in (1, 2, 3)] == [0.5, 0.75, 1.0]


def test_of_equal_logits_the_first_class_counts() -> None:
    assert accuracy(np.zeros((2, 3), np.float32), np.array([0, 1])) == 0.5


def test_a_short_last_batch_counts_by_its_images() -> None:
    logits = np.zeros((5, 2), np.float32)
    logits[:, 0] = 1
    labels = np.array([0, 0, 0, 0, 1])  # batches of 4 and 1: the mean of their accuracies would be 0.5

    assert accuracy(logits, labels) == 0.8
    assert cross_entropy(logits, labels) == pytest.approx(math.log(1 + math.exp(-1)) + 0.2)
    assert scored(logits, labels).accuracy == 0.8


@pytest.mark.parametrize(("correct", "count"), [(0, 1), (1, 1), (28, 30), (0, 50), (50, 50), (123, 1000)])
def test_the_interval_is_wilsons(correct: int, count: int) -> None:
    z = 1.959963984540054
    share = correct / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))

    low, high = wilson_interval(correct, count)

    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-9)
    assert 0 <= low <= share <= high <= 1


def test_scores_by_hand() -> None:
    predicted = np.array([0, 0, 1, 1, 1, 2])
    labels = np.array([0, 0, 0, 1, 2, 2])

    scores = scored(np.eye(4, dtype=np.float32)[predicted], labels)

    assert (scores.images, scores.correct, scores.accuracy) == (6, 4, 4 / 6)
    assert scores.interval_95 == wilson_interval(4, 6)
    assert scores.confusion == ((2, 1, 0, 0), (0, 1, 0, 0), (0, 1, 1, 0), (0, 0, 0, 0))
    rows = [(row.images, row.precision, row.recall, row.f1) for row in scores.per_class]
    assert rows == [
        (3, 1, pytest.approx(2 / 3), pytest.approx(0.8)),
        (1, pytest.approx(1 / 3), 1, 0.5),
        (2, 1, 0.5, pytest.approx(2 / 3)),
        (0, 0, 0, 0),  # a class without photos
    ]
    names = [(row.name, row.display_name) for row in scores.per_class]
    assert names[:2] == [("class 0", "类"), ("class 1", "class 1")]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_answers_that_are_no_numbers_have_no_scores(number: float) -> None:
    logits, labels = random_case()
    logits[[3, 3, 70], [0, 1, 2]] = number
    with pytest.raises(UserError, match=r"^2 of 103 photos: the network's answer is not a finite number; "):
        scored(logits, labels)


def test_scores_are_scikit_learns() -> None:
    logits, labels = random_case()
    predicted = logits.argmax(1)

    scores = scored(logits, labels)

    report = sklearn_metrics.classification_report(labels, predicted, output_dict=True)
    for label, row in enumerate(scores.per_class):
        expected = report[str(label)]
        assert row.precision == pytest.approx(expected["precision"])
        assert row.recall == pytest.approx(expected["recall"])
        assert row.f1 == pytest.approx(expected["f1-score"])
        assert row.images == expected["support"]
    assert scores.accuracy == pytest.approx(report["accuracy"])
    assert scores.loss == cross_entropy(logits, labels)
    assert scores.top_k == {k: accuracy(logits, labels, k) for k in (2, 3, 5)}
    assert np.trace(scores.confusion) == scores.correct


@pytest.mark.parametrize(("classes", "top_ks"), [(2, []), (3, [2]), (4, [2, 3]), (5, [2, 3]), (6, [2, 3, 5])])
def test_top_k_is_left_out_where_it_says_nothing(classes: int, top_ks: list[int]) -> None:
    assert list(scored(*random_case(20, classes)).top_k) == top_ks


def test_precision_and_recall_of_a_class_as_counted_by_hand() -> None:
    first = [0.9, 0.8, 0.7, 0.4, 0.3]
    probabilities = np.array([first, [1 - p for p in first], [0.0] * 5]).T
    labels = np.array([0, 1, 0, 1, 0])
    one, other, none = precision_recall(probabilities, labels)
    assert one is not None
    assert other is not None
    assert none is None  # no photos of it
    found = dict(zip(one.recall.round(6), one.precision, strict=True))  # the last of equal recalls
    assert found[round(1 / 3, 6)] == pytest.approx(1 / 2)  # two named, of which one
    assert found[1.0] == pytest.approx(3 / 5)
    assert list(one.recall) == sorted(one.recall)
    assert list(other.precision)[-1] == pytest.approx(2 / 4)  # and not 2 / 5, with one that is left
    assert one.average_precision == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    assert other.average_precision == pytest.approx((1 / 2 + 2 / 4) / 2)
