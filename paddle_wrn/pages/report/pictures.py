"""Photos as the page shows them: small JPEG pictures inside the HTML."""

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paddle_wrn.photos.lists import PhotoList
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.photos.preprocessing import read_image

LARGE, SMALL = 224, 96  # pixels of the longer side
QUALITY = 80

Picture = NDArray[np.uint8]


def thumbnails(paths: Sequence[Path], list_file: Path, side: int) -> list[Picture]:
    """Return small versions (H, W, 3) of photos, as they are, without padding.

    Args:
        paths: files, or rows of arrays (`images.npy/00042`).
        list_file: what to name if an array cannot be read.
        side: pixels of the longer side.
    """
    return [_thumbnail(path, list_file, side) for path in paths]


def _thumbnail(path: Path, list_file: Path, side: int) -> Picture:
    if path.is_file():
        image = read_image(path)
        image.thumbnail((side, side))
        return np.asarray(image)
    row = PhotoList(list_file, (path,), np.zeros(1, np.int64), (1,))
    return load_photos(row, side).images[0]


def data_uri(picture: Picture) -> str:
    """Return a picture as the address of an `<img>`. Shape: (H, W, 3) uint8."""
    content = BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def evenly(indices: Sequence[int], count: int) -> list[int]:
    """Return up to `count` of some indices, from all over."""
    if len(indices) <= count:
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]
