"""Small versions of photos for pictures and pages: as they are, upright, without padding."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.photos.lists import PhotoList
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.photos.preprocessing import read_image

Pixels = NDArray[np.uint8]


def thumbnail(path: Path | str, side: int) -> Pixels:
    """Return a photo whose longer side has at most `side` pixels. Shape: -> (H, W, 3).

    Raises:
        ImageError: the file cannot be read as a photo.
    """
    image = read_image(path)
    image.thumbnail((side, side))
    return np.asarray(image)


def listed_thumbnails(paths: Sequence[Path], list_file: Path, side: int) -> list[Pixels]:
    """Return small versions (H, W, 3) of photos that a list names.

    Args:
        paths: files, or rows of arrays (`images.npy/00042`), which become squares.
        list_file: what to name if an array cannot be read.
        side: pixels of the longer side.

    Raises:
        ImageError: a file cannot be read as a photo.
        UserError: a row cannot be read.
    """
    return [thumbnail(path, side) if path.is_file() else _row(path, list_file, side) for path in paths]


def _row(path: Path, list_file: Path, side: int) -> Pixels:
    row = PhotoList(list_file, (path,), np.zeros(1, np.int64), (1,))
    return load_photos(row, side).images[0]
