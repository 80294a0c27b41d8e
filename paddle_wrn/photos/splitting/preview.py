"""A picture of a split: a few photos of each class, with its name and counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from paddle_wrn.drawing import plots, sheets
from paddle_wrn.photos.preprocessing import read_square

PREVIEW = "preview.png"  # beside the lists
PHOTOS = 5  # of each class
MOST_CLASSES = 60
SIDE = 256  # pixels


def draw_preview(
    file: Path,
    root: Path,
    classes: Sequence[str],
    display_names: Sequence[str],
    lists: Mapping[str, Sequence[tuple[str, int]]],
) -> None:
    """Draw photos of each class, taken at even distances from all of its photos in the order of their names.

    Args:
        file: PNG file to write.
        root: folder of the photos.
        classes: class names; the position is the label.
        display_names: what to show to people, one per class.
        lists: name of a list -> (path below the root, label).
    """
    names = plots.labels_for(classes, display_names)
    rows = []
    for label, name in enumerate(names[:MOST_CLASSES]):
        sides = {side: [path for path, of in photos if of == label] for side, photos in lists.items()}
        paths = sorted(path for side in sides.values() for path in side)
        chosen = np.unique(np.linspace(0, len(paths) - 1, PHOTOS).round().astype(int))
        images = [np.asarray(read_square(root / paths[index], SIDE, draft=True)) for index in chosen]
        rows.append((name, _counted(sides, " · "), np.stack(images)))
    title = f"{sum(map(len, lists.values())):,} photos of {len(names)} classes: {_counted(lists, ', ')}"
    if len(names) > len(rows):
        title += f"; the first {len(rows)} classes"
    plots.save(sheets.class_sheet(rows, title), file)


def _counted(lists: Mapping[str, Sequence[object]], between: str) -> str:
    return between.join(f"{len(photos):,} {name}" for name, photos in lists.items())
