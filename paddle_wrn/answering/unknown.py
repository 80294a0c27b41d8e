"""Photos unlike anything a network has learned from.

Two questions are asked of a photo's features. How near is it to the training photos? That tells the strange:
flowers among birds, drawings among photos. Does it belong to one class rather than to the others, as a linear
classifier sees it? That tells the similar: a heron among egrets. Both answers are measured in standard
deviations of known photos that the network did not learn from, and added up. A chosen share of these known
photos fails the bar.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from paddle_wrn.system.records import Record

NEIGHBOURS = 5  # training photos that nearness is measured by
MOST_KEPT = 5000  # training photos
REFUSED = 0.05  # share of known photos that the bar may refuse
RIDGE = 0.05  # penalty of the classifier, as a share of the features' mean square

Features = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


class Bar(Record):
    """What is asked of a photo, in numbers.

    Attributes:
        nearness_mean, nearness_deviation: of known photos that were not learned from.
        membership_mean, membership_deviation: likewise.
        least: a photo with less than this sum is unlike anything learned; -inf is written as None.
        refused: share of known photos that was to fail.
        photos: known photos that it was set by.
    """

    nearness_mean: float
    nearness_deviation: float
    membership_mean: float
    membership_deviation: float
    least: float | None
    refused: float
    photos: int

    def familiarity(self, nearness: Features, membership: Features) -> NDArray[np.float64]:
        """Return the sum of both, each in standard deviations. Shape: twice (N,) -> (N,)."""
        near = (nearness - self.nearness_mean) / self.nearness_deviation
        belongs = (membership - self.membership_mean) / self.membership_deviation
        familiarity: NDArray[np.float64] = near + belongs
        return familiarity


@dataclass(frozen=True)
class Reference:
    """The photos a network has learned from, as it sees them.

    Attributes:
        features: (R, F) float16.
        labels: (R,).
        paths: R names, from the folder of the lists.
        weight: (F, C), of the linear classifier that says whether a photo belongs to a class.
        bias: (C,).
        bar: what is asked of a photo; None: too few known photos to set one.
    """

    features: NDArray[np.float16]
    labels: Labels
    paths: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    bar: Bar | None = None

    def nearest(self, features: Features, count: int = NEIGHBOURS) -> tuple[Labels, NDArray[np.float64]]:
        """Return the training photos that photos are most like.

        Args:
            features: (N, F).
            count: how many of them.

        Returns:
            (N, count) positions, the nearest first, and (N, count) cosines: 1 is the same direction, 0 is
            nothing in common.
        """
        cosines = _unit(features) @ _unit(self.features).T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        return order, np.take_along_axis(cosines, order, axis=1)

    def measure(self, features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how near photos are and how much they belong to one class. Shape: (N, F) -> twice (N,)."""
        _, cosines = self.nearest(features)
        return cosines.mean(axis=1), (features @ self.weight + self.bias).max(axis=1).astype(float)

    def known(self, features: Features) -> NDArray[np.bool_]:
        """Return whether photos are like those learned from: all, without a bar. Shape: (N, F) -> (N,)."""
        if self.bar is None or self.bar.least is None:
            return np.ones(len(features), bool)
        return self.bar.familiarity(*self.measure(features)) >= self.bar.least


def fit_reference(features: Features, labels: Labels, paths: Sequence[str]) -> Reference:
    """Keep training photos and fit what says whether a photo belongs to a class; there is no bar yet.

    Args:
        features: (N, F) of the training photos.
        labels: (N,).
        paths: N names.
    """
    chosen = np.arange(len(labels))
    if len(labels) > MOST_KEPT:  # every class in its share: photos are drawn at random
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST_KEPT])
    weight, bias = _ridge(features, labels)
    kept = features[chosen].astype(np.float16)
    return Reference(kept, labels[chosen], tuple(paths[int(i)] for i in chosen), weight, bias)


def set_bar(
    reference: Reference, known: Sequence[tuple[Reference, Features]], refused: float = REFUSED
) -> Reference:
    """Return the reference with a bar that a share of known photos fails.

    Args:
        reference: of all training photos.
        known: photos of the classes with the reference that did not learn from them: validation photos with
            the whole one, training photos with one of the other folds.
        refused: the share, above 0 and below 1.
    """
    pairs = [one.measure(features) for one, features in known if len(features)]
    nearness = np.concatenate([near for near, _ in pairs]) if pairs else np.zeros(0)
    membership = np.concatenate([belongs for _, belongs in pairs]) if pairs else np.zeros(0)
    if len(nearness) < 2:
        return reference
    bar = Bar(
        nearness_mean=float(nearness.mean()),
        nearness_deviation=float(max(nearness.std(), 1e-6)),
        membership_mean=float(membership.mean()),
        membership_deviation=float(max(membership.std(), 1e-6)),
        least=None,
        refused=refused,
        photos=len(nearness),
    )
    falling = int(refused * (len(nearness) + 1))  # so many of the known ones may lie below
    if falling < 1:
        return replace(reference, bar=bar)
    ranked = np.sort(bar.familiarity(nearness, membership))
    return replace(
        reference, bar=bar.model_copy(update={"least": float(np.nextafter(ranked[falling - 1], np.inf))})
    )


def folded_references(
    features: Features, labels: Labels, folds: Sequence[NDArray[np.int64]]
) -> list[tuple[Reference, Features]]:
    """Return, for each fold, the reference of the other folds and the features of this one."""
    found = []
    for held_out in folds:
        kept = np.setdiff1d(np.arange(len(labels)), held_out)
        found.append((fit_reference(features[kept], labels[kept], [""] * len(kept)), features[held_out]))
    return found


def named_if_left_out(
    features: Features, labels: Labels, folds: Sequence[NDArray[np.int64]], refused: float = REFUSED
) -> NDArray[np.float64]:
    """Leave out each class in turn, and ask how many of its photos would get a name all the same.

    Args:
        features: (N, F) of photos that the classifier has or has not learned from.
        labels: (N,), of three classes or more.
        folds: of these photos, to set the bars by.
        refused: share of known photos that the bars may refuse.

    Returns:
        (C,) shares.
    """
    shares = []
    for left_out in np.unique(labels):
        kept = np.flatnonzero(labels != left_out)
        place = np.full(len(labels), -1)
        place[kept] = np.arange(len(kept))
        inside = [place[fold][place[fold] >= 0] for fold in folds]
        others, others_labels = features[kept], labels[kept]
        others_labels = np.searchsorted(np.unique(others_labels), others_labels)
        reference = fit_reference(others, others_labels, [""] * len(kept))
        reference = set_bar(reference, folded_references(others, others_labels, inside), refused)
        shares.append(float(reference.known(features[labels == left_out]).mean()))
    return np.array(shares)


def _ridge(features: Features, labels: Labels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit +1 for the own class and -1 for every other, with an L2 penalty. Shape: -> (F, C), (C,)."""
    targets = np.where(np.eye(int(labels.max()) + 1, dtype=bool)[labels], 1.0, -1.0)
    centre, level = features.mean(axis=0, dtype=np.float64), targets.mean(axis=0)
    centred = features - centre
    with threadpool_limits(1):  # the matrices are small: a second thread only waits for the first
        penalty = RIDGE * float((centred**2).sum(axis=1).mean())
        if len(centred) < centred.shape[1]:
            products = centred @ centred.T + penalty * np.eye(len(centred))
            weight = centred.T @ np.linalg.solve(products, targets - level)
        else:
            products = centred.T @ centred + penalty * np.eye(centred.shape[1])
            weight = np.linalg.solve(products, centred.T @ (targets - level))
    return weight.astype(np.float32), (level - centre @ weight).astype(np.float32)


def _unit(vectors: Features) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)
