"""The head of a frozen network: multinomial logistic regression on the features of its backbone.

The strength of its L2 penalty is chosen by cross-validation inside the training photos. Features are scaled
first, and the scaling is folded into the weights, so that the head is a plain linear layer in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from paddle_wrn.photos.splitting.folds import class_folds
from paddle_wrn.scoring.metrics import cross_entropy

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # scikit-learn's C, the inverse of the penalty
UNCHOSEN = 1e-1  # where there are too few photos to choose by
FOLDS = 5
MOST_FOR_FOLDS = 3000  # photos; of more, so many choose the strength
_TOLERANCE, _MOST_STEPS = 1e-4, 1000  # of scikit-learn's L-BFGS

Features = NDArray[np.float32]
Labels = NDArray[np.int64]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """A linear layer.

    Attributes:
        weight: (F, C).
        bias: (C,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: Features) -> Logits:
        """Return the logits. Shape: (N, F) -> (N, C)."""
        return features @ self.weight + self.bias


def choose_strength(features: Features, labels: Labels, groups: Labels) -> float:
    """Return the strength whose heads predict photos best that they were not fitted to.

    Args:
        features: (N, F) of the training photos.
        labels: (N,), each of 0 to C - 1 at least once.
        groups: (N,) numbers, the same one for photos that show the same.
    """
    if len(labels) > MOST_FOR_FOLDS:
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST_FOR_FOLDS])
        features, labels, groups = features[chosen], labels[chosen], groups[chosen]
    folds = usable_folds(labels, groups)
    if not folds:
        return UNCHOSEN
    logits = out_of_fold(features, labels, folds, STRENGTHS)
    return STRENGTHS[int(np.argmin([cross_entropy(one, labels) for one in logits]))]


def usable_folds(labels: Labels, groups: Labels) -> list[NDArray[np.int64]]:
    """Return up to `FOLDS` folds, so many that each class has a photo in each; none where that cannot be."""
    distinct = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    count = min(FOLDS, distinct)
    return class_folds(labels, groups, count) if count > 1 else []


def out_of_fold(
    features: Features, labels: Labels, folds: Sequence[NDArray[np.int64]], strengths: Sequence[float]
) -> list[Logits]:
    """Return, for each strength, what heads say of photos that they were not fitted to.

    Args:
        features: (N, F).
        labels: (N,).
        folds: the photos of each, all N together.
        strengths: to fit with.

    Returns:
        (N, C) logits for each strength.
    """
    classes = int(labels.max()) + 1
    logits = [np.zeros((len(labels), classes), np.float32) for _ in strengths]
    for held_out in folds:
        kept = np.setdiff1d(np.arange(len(labels)), held_out)
        heads = fit_heads(features[kept], labels[kept], strengths)
        for one, head in zip(logits, heads, strict=True):
            one[held_out] = head.logits(features[held_out])
    return logits


def fit_heads(features: Features, labels: Labels, strengths: Sequence[float]) -> list[Head]:
    """Fit a head for each strength, beginning with the one before.

    Each feature is divided by a deviation half-way between its own and that of all: by its own alone, the
    features of a few photos that hardly vary would count as much as the others.

    Args:
        features: (N, F).
        labels: (N,), each of 0 to C - 1 at least once.
        strengths: to fit with.
    """
    from sklearn.linear_model import LogisticRegression

    centre, variance = features.mean(axis=0), features.var(axis=0)
    scale = 1 / np.sqrt((variance + max(variance.mean(), 1e-12)) / 2)
    scaled = ((features - centre) * scale).astype(np.float64)
    basis = None
    with threadpool_limits(1):  # the matrices are small: a second thread only waits for the first
        if scaled.shape[0] < scaled.shape[1]:  # all happens in the space of the photos, which is smaller
            basis, coordinates = np.linalg.qr(scaled.T)
            scaled = coordinates.T
        model = LogisticRegression(max_iter=_MOST_STEPS, tol=_TOLERANCE, warm_start=True)
        two = labels.max() == 1  # which scikit-learn tells apart by one column, with half the penalty
        heads = []
        for strength in strengths:
            model.set_params(C=2 * strength if two else strength).fit(scaled, labels)
            rows, bias = model.coef_, model.intercept_
            if two:
                rows, bias = np.vstack([-rows, rows]) / 2, np.hstack([-bias, bias]) / 2
            weight = (rows.T if basis is None else basis @ rows.T) * scale[:, None]  # (F, C)
            heads.append(Head(weight.astype(np.float32), (bias - centre @ weight).astype(np.float32)))
    return heads
