"""Folds: parts of the photos, each of which is left out once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import DataFolder, PhotoList
from paddle_wrn.photos.splitting.record import duplicate_numbers


def class_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], count: int, seed: int = 0
) -> list[NDArray[np.int64]]:
    """Return the photos of each fold: every class in every fold, photos of one group together.

    Args:
        labels: (N,) classes.
        groups: (N,) numbers, the same one for photos that belong together, such as near-duplicates.
        count: number of folds.
        seed: of the shuffle.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return [held_out for _, held_out in splitter.split(labels, labels, groups)]


def folds_of(folder: DataFolder, lists: Sequence[PhotoList], count: int) -> list[NDArray[np.int64]]:
    """Return folds of the photos of some lists, numbered on from list to list.

    Raises:
        UserError: a class has too few photos, or all of its photos are near-duplicates.
    """
    paths: list[Path] = [path.absolute() for part in lists for path in part.paths]
    labels = np.concatenate([part.labels for part in lists])
    counts = np.bincount(labels, minlength=len(folder.classes.names))
    few = int(counts.argmin())
    if counts[few] < count:
        raise UserError(
            f"{folder.folder}: class {folder.classes.names[few]!r} has {counts[few]} photos; "
            f"{count} folds need at least {count} of each class"
        )
    folds = class_folds(labels, duplicate_numbers(folder.folder, paths), count)
    for held_out in folds:
        alone = sorted(set(labels.tolist()) - set(np.delete(labels, held_out).tolist()))
        if alone:
            raise UserError(
                f"{folder.folder}: the photos of class {folder.classes.names[alone[0]]!r} are all "
                f"near-duplicates; {count} folds need different ones"
            )
    return folds
