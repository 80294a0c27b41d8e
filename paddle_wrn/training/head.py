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
from paddle_wrn.scoring.metrics import cross_entropy, softmax

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # the inverse of the penalty, scikit-learn's C
UNCHOSEN = 1e-1  # where there are too few photos to choose by
FOLDS = 5
MOST_FOR_FOLDS = 3000  # photos; of more, so many choose the strength
_TOLERANCE, _MOST_STEPS = 1e-5, 500  # of the gradient for each photo; of L-BFGS

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

    The strengths are tried from the weakest head on, until the prediction becomes worse.

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
    predict = OutOfFold(features, labels, folds)
    best, least = UNCHOSEN, np.inf
    for strength in STRENGTHS:
        loss = cross_entropy(predict.logits(strength), labels)
        if loss >= least:
            break
        best, least = strength, loss
    return best


def usable_folds(labels: Labels, groups: Labels) -> list[NDArray[np.int64]]:
    """Return up to `FOLDS` folds, so many that each class has a photo in each; none where that cannot be."""
    distinct = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    count = min(FOLDS, distinct)
    return class_folds(labels, groups, count) if count > 1 else []


class OutOfFold:
    """Heads that each leave out one fold of the photos."""

    def __init__(self, features: Features, labels: Labels, folds: Sequence[NDArray[np.int64]]) -> None:
        """Prepare the heads.

        Args:
            features: (N, F).
            labels: (N,), each of 0 to C - 1 at least once.
            folds: the photos of each, all N together.
        """
        self._features, self._folds = features, folds
        self._classes = int(labels.max()) + 1
        kept = [np.setdiff1d(np.arange(len(labels)), held_out) for held_out in folds]
        self._fits = [HeadFit(features[rows], labels[rows], self._classes) for rows in kept]

    def logits(self, strength: float) -> Logits:
        """Return what is said of each photo by the head that was not fitted to it. Shape: -> (N, C)."""
        logits = np.zeros((len(self._features), self._classes), np.float32)
        for held_out, fit in zip(self._folds, self._fits, strict=True):
            logits[held_out] = fit.head(strength).logits(self._features[held_out])
        return logits


class HeadFit:
    """A head that is fitted to some photos, with one strength after another.

    Each feature is divided by a deviation half-way between its own and that of all: by its own alone, the
    features of a few photos that hardly vary would count as much as the others.
    """

    def __init__(self, features: Features, labels: Labels, classes: int) -> None:
        """Scale the features.

        Args:
            features: (N, F).
            labels: (N,), below `classes`.
            classes: number of logits.
        """
        variance = features.var(axis=0)
        self._centre = features.mean(axis=0)
        self._scale = 1 / np.sqrt((variance + max(variance.mean(), 1e-12)) / 2)
        self._scaled = (features - self._centre) * self._scale
        self._basis: NDArray[np.float32] | None = None
        if len(features) < features.shape[1]:  # all happens in the space of the photos, which is smaller
            with threadpool_limits(1):
                self._basis, coordinates = np.linalg.qr(self._scaled.T)
            self._scaled = np.ascontiguousarray(coordinates.T)
        self._targets = np.eye(classes, dtype=np.float32)[labels]
        self._found = np.zeros((self._scaled.shape[1] + 1) * classes)

    def head(self, strength: float) -> Head:
        """Return the head of the least penalised loss, looked for from the last one on.

        Args:
            strength: the inverse of the penalty of the squared weights; the bias is free.
        """
        from scipy.optimize import minimize

        options = {"gtol": _TOLERANCE * len(self._targets) * strength, "maxiter": _MOST_STEPS}
        with threadpool_limits(1):  # the matrices are small: a second thread only waits for the first
            found = minimize(self._loss, self._found, (strength,), "L-BFGS-B", jac=True, options=options)
            self._found = found.x
            rows = self._found.reshape(-1, self._targets.shape[1])
            weight = rows[:-1] if self._basis is None else self._basis @ rows[:-1]
            weight = weight * self._scale[:, None]
            bias = rows[-1] - self._centre @ weight
        return Head(weight.astype(np.float32), bias.astype(np.float32))

    def _loss(self, flat: NDArray[np.float64], strength: float) -> tuple[float, NDArray[np.float64]]:
        """Return the penalised loss and its gradient; products are float32, sums float64."""
        rows = flat.reshape(-1, self._targets.shape[1])
        weight = rows[:-1]
        logits = self._scaled @ weight.astype(np.float32) + rows[-1]
        residual = softmax(logits) - self._targets
        loss = strength * len(logits) * cross_entropy(logits, self._targets.argmax(axis=1))
        slope = strength * (self._scaled.T @ residual.astype(np.float32)) + weight
        gradient = np.vstack([slope, strength * residual.sum(axis=0)])
        return loss + 0.5 * float((weight**2).sum()), gradient.ravel()
