"""Logits and labels -> figures. Counts are summed over images and divided once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.errors import UserError
from paddle_wrn.scoring.scores import ClassScores, Scores

Logits = NDArray[np.floating[Any]]
Probabilities = NDArray[np.float64]


def softmax(logits: Logits) -> NDArray[np.float64]:
    """Return probabilities. Shape: (N, C) -> (N, C), rows sum to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def cross_entropy(logits: Logits, labels: NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood, nats. Shape: (N, C), (N,)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_partition = np.log(np.exp(shifted).sum(axis=1))
    return float((log_partition - shifted[np.arange(len(labels)), labels]).mean())


def accuracy(logits: Logits, labels: NDArray[np.int64], top_k: int = 1) -> float:
    """Return the share of images whose label is among the `top_k` highest logits. Shape: (N, C), (N,)."""
    best = np.argsort(-logits, axis=1, kind="stable")[:, :top_k]
    return float((best == labels[:, None]).any(axis=1).mean())


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class PrecisionRecall:
    """What one class gains and loses as the probability from which on it is named is lowered.

    Attributes:
        recall: (K,) rising.
        precision: (K,) at the same places.
        average_precision: the area below.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    average_precision: float


def precision_recall(probabilities: Probabilities, labels: NDArray[np.int64]) -> list[PrecisionRecall | None]:
    """Return the curve of each class; None for a class without photos.

    Args:
        probabilities: (N, C).
        labels: (N,), values below C.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves: list[PrecisionRecall | None] = []
    for label, column in enumerate(probabilities.T):
        truth = labels == label
        if not truth.any():
            curves.append(None)
            continue
        precision, recall, _ = (values[::-1] for values in precision_recall_curve(truth, column))
        whole = int(np.argmax(recall == 1)) + 1  # beyond it, nothing is left to be found
        area = float(average_precision_score(truth, column))
        curves.append(PrecisionRecall(recall[:whole], precision[:whole], area))
    return curves


def score(
    logits: Logits, labels: NDArray[np.int64], classes: Sequence[str], display_names: Sequence[str]
) -> Scores:
    """Return all figures of one list of photos but those of its calibration.

    Args:
        logits: (N, C).
        labels: (N,), values below C.
        classes: names of the C classes.
        display_names: what to show to people.

    Raises:
        UserError: a logit is not a finite number.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if broken:
        raise UserError(
            f"{broken} of {len(labels)} photos: the network's answer is not a finite number; "
            "train it again with a lower --optimizer.lr"
        )
    predicted = logits.argmax(axis=1)
    positions = range(len(classes))
    correct = int((predicted == labels).sum())
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=positions, zero_division=0.0
    )
    rows = zip(classes, display_names, support, precision, recall, f1, strict=True)
    return Scores(
        images=len(labels),
        correct=correct,
        accuracy=correct / len(labels),
        interval_95=wilson_interval(correct, len(labels)),
        top_k={k: accuracy(logits, labels, k) for k in (2, 3, 5) if k < len(classes)},
        loss=cross_entropy(logits, labels),
        per_class=tuple(
            ClassScores(
                name=name,
                display_name=shown,
                images=int(images),
                precision=float(p),
                recall=float(r),
                f1=float(f),
            )
            for name, shown, images, p, r, f in rows
        ),
        confusion=tuple(map(tuple, confusion_matrix(labels, predicted, labels=positions).tolist())),
    )
