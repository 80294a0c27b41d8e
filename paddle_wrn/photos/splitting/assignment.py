"""Who goes where: a list for every photo.

Photos are numbers here, and `labels` says the class of each. Each class is shuffled by the seed and its own
name. The tutorial cuts it at 70 %; the stratified way fills val and test to their shares of the class and
keeps groups of near-duplicates together. Nothing is read or written.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from paddle_wrn.errors import UserError

TUTORIAL_TRAIN_SHARE = 0.7


def _shuffled(labels: Sequence[int], classes: Sequence[str], seed: int) -> list[list[int]]:
    """Return each class's photos in an order that depends on the seed and this class alone."""
    members: list[list[int]] = [[] for _ in classes]
    for index, label in enumerate(labels):
        members[label].append(index)
    for name, indices in zip(classes, members, strict=True):
        np.random.default_rng([seed, zlib.crc32(name.encode())]).shuffle(indices)
    return members


def tutorial_sides(labels: Sequence[int], classes: Sequence[str], seed: int) -> list[str]:
    """Choose train or test for every photo as the tutorial does: 70 % of each class, rounded down, train.

    Raises:
        UserError: a class has fewer photos than there are lists.
    """
    sides = ["test"] * len(labels)
    for name, order in zip(classes, _shuffled(labels, classes, seed), strict=True):
        _check_enough(name, len(order), ("train", "test"))
        for index in order[: int(TUTORIAL_TRAIN_SHARE * len(order))]:
            sides[index] = "train"
    return sides


def stratified_sides(
    labels: Sequence[int],
    groups: Sequence[tuple[int, ...]],
    classes: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
) -> list[str]:
    """Choose a list for every photo: groups stay whole, counts per class come as near as they can.

    Groups of several classes go first, then the larger ones; each to the list that needs its classes most.

    Args:
        labels: class of each photo.
        groups: positions of the photos that show the same picture.
        classes: class names; the position is the label.
        shares: wanted list -> share of each class, train first.
        seed: of the shuffle.

    Raises:
        UserError: a class has fewer distinct photos than there are lists, or copies leave a list without it.
    """
    names = tuple(shares)
    group_of = {index: group for group in groups for index in group}
    members = _shuffled(labels, classes, seed)
    units = list(dict.fromkeys(group_of.get(index, (index,)) for order in members for index in order))
    units.sort(key=lambda unit: (len({labels[index] for index in unit}) == 1, -len(unit)))
    waiting = np.zeros(len(classes), np.int64)  # units of each class that have no list yet
    for unit in units:
        waiting[list({labels[index] for index in unit})] += 1
    for name, count in zip(classes, waiting.tolist(), strict=True):
        _check_enough(name, count, names)
    need = np.array([_target_counts(len(order), shares) for order in members])
    empty = np.ones_like(need, dtype=bool)
    sides = [""] * len(labels)
    for unit in units:
        involved, counts = np.unique([labels[index] for index in unit], return_counts=True)
        wanted = counts @ need[involved]
        last_chance = empty[involved] & (empty[involved].sum(1) >= waiting[involved])[:, None]
        if last_chance.any():
            wanted = np.where(last_chance.any(0), wanted, np.iinfo(np.int64).min)
        side = int(wanted.argmax())
        need[involved, side] -= counts
        empty[involved, side] = False
        waiting[involved] -= 1
        for index in unit:
            sides[index] = names[side]
    for name, missing in zip(classes, empty, strict=True):
        if missing.any():
            raise UserError(
                f"class {name!r}: no photo is left for {names[int(missing.argmax())]}, because copies of its "
                "photos lie in other classes; keep each photo in one class folder"
            )
    return sides


def _check_enough(name: str, distinct: int, lists: Sequence[str]) -> None:
    if distinct < len(lists):
        raise UserError(
            f"class {name!r}: {distinct} distinct photo(s); {len(lists)} is the minimum, "
            f"one for each of {', '.join(lists)}"
        )


def _target_counts(count: int, shares: Mapping[str, float]) -> list[int]:
    """Return how many of `count` photos each list should get: at least 1, the rest to train."""
    targets = {name: max(1, round(count * share)) for name, share in shares.items() if name != "train"}
    while sum(targets.values()) >= count:  # rounding must not take the last photo from train
        targets[max(targets, key=lambda name: targets[name])] -= 1
    return [targets.get(name, count - sum(targets.values())) for name in shares]
