"""Probabilities held against how often they were right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.scoring.metrics import Probabilities, wilson_interval
from paddle_wrn.scoring.scores import Interval


@dataclass(frozen=True)
class Bin:
    """The answers whose probability lies in one part of 0..1.

    Attributes:
        low, high: bounds of the part.
        count: number of answers.
        confidence: their mean probability.
        accuracy: share of them that was right.
        interval_95: of that share.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    interval_95: Interval


def reliability(probabilities: Probabilities, labels: NDArray[np.int64], bins: int = 10) -> list[Bin]:
    """Compare probabilities with how often they were right.

    Args:
        probabilities: (N, C).
        labels: (N,).
        bins: number of equal parts of 0..1 into which the answers are sorted by their probability.

    Returns:
        The parts that hold answers, in order.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    part = np.minimum((confidence * bins).astype(int), bins - 1)
    found = []
    for number in np.unique(part).tolist():
        inside = part == number
        count, hits = int(inside.sum()), int(right[inside].sum())
        found.append(
            Bin(
                low=number / bins,
                high=(number + 1) / bins,
                count=count,
                confidence=float(confidence[inside].mean()),
                accuracy=hits / count,
                interval_95=wilson_interval(hits, count),
            )
        )
    return found


def expected_calibration_error(
    probabilities: Probabilities, labels: NDArray[np.int64], bins: int = 10
) -> float:
    """Return the mean gap between probability and accuracy, over the photos, by parts as in `reliability`."""
    parts = reliability(probabilities, labels, bins)
    return sum(part.count * abs(part.confidence - part.accuracy) for part in parts) / len(labels)
