"""Logits and labels -> figures. Counts are summed over images and divided once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.photos.preprocessing import Preprocessing

Logits = NDArray[np.floating[Any]]


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


def precision_recall(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> list[dict[str, Any] | None]:
    """Return what each class gains and loses as the probability from which on it is named is lowered.

    Args:
        probabilities: (N, C).
        labels: (N,), values below C.

    Returns:
        For each class `recall` (rising), `precision` at the same places, and their `average_precision`; None
        for a class without photos.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    curves: list[dict[str, Any] | None] = []
    for label, column in enumerate(probabilities.T):
        truth = labels == label
        if not truth.any():
            curves.append(None)
            continue
        precision, recall, _ = (values[::-1] for values in precision_recall_curve(truth, column))
        whole = int(np.argmax(recall == 1)) + 1  # beyond it, nothing is left to be found
        curves.append(
            {
                "recall": recall[:whole],
                "precision": precision[:whole],
                "average_precision": float(average_precision_score(truth, column)),
            }
        )
    return curves


def score(logits: Logits, labels: NDArray[np.int64], preprocessing: Preprocessing) -> dict[str, Any]:
    """Return all figures of one list of photos, ready for JSON.

    Args:
        logits: (N, C).
        labels: (N,), values below C.
        preprocessing: names the C classes.

    Returns:
        images, correct, accuracy, its 95 % interval, top-k accuracies, loss, per-class precision, recall,
        F1 and count, and the confusion matrix (rows: truth, columns: prediction).
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = preprocessing.classes
    predicted = logits.argmax(axis=1)
    positions = range(len(classes))
    correct = int((predicted == labels).sum())
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=positions, zero_division=0.0
    )
    top_ks = [k for k in (2, 3, 5) if k < len(classes)]
    return {
        "images": len(labels),
        "correct": correct,
        "accuracy": correct / len(labels),
        "interval_95": list(wilson_interval(correct, len(labels))),
        "top_k": {str(k): accuracy(logits, labels, k) for k in top_ks},
        "loss": cross_entropy(logits, labels),
        "per_class": [
            {
                "class": name,
                "display_name": preprocessing.display_names[i],
                "images": int(support[i]),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
            }
            for i, name in enumerate(classes)
        ],
        "confusion": confusion_matrix(labels, predicted, labels=positions).tolist(),
    }


def describe(scores: Mapping[str, Any]) -> str:
    """Say an accuracy in one line: `0.933 (28 of 30 right; the true rate is likely 0.787 to 0.982)`."""
    low, high = scores["interval_95"]
    return (
        f"{scores['accuracy']:.3f} ({scores['correct']} of {scores['images']} right; "
        f"the true rate is likely between {low:.3f} and {high:.3f})"
    )
