"""Which photos show the same picture: exact copies, re-saved ones and mirror images.

A photo is described by the lowest 8 x 8 frequencies (DCT) of its colours, squeezed into a square. Natural
pictures hold most of their contrast in the lowest frequencies, where all skies look alike, so each
coefficient is weighted by its frequency. Two photos are near-duplicates if their descriptors, scaled to
length 1, have a scalar product above `THRESHOLD`. Mirroring a picture flips the sign of the coefficients
with an odd horizontal frequency and no other; the sums over even and over odd ones give both comparisons.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from paddle_wrn.errors import ImageError
from paddle_wrn.photos.preprocessing import read_image
from paddle_wrn.system.device import available_cores
from paddle_wrn.system.files import file_digest

THUMBNAIL_SIDE = 16  # pixels
FREQUENCIES = 8  # per axis
# Copies saved at JPEG quality 30 or at 64 x 64 pixels stay above 0.98, different photos below 0.90;
# CIFAR-10's pairs around 0.94 were looked at: nearly all show the same thing. See docs/decisions.md.
THRESHOLD = 0.94
# Weighted contrast (grey levels, root mean square) below which a picture is too plain to be compared;
# CIFAR-10's plainest sky has 14.
PLAIN = 4.0
BLOCK = 2048  # photos on each side of one matrix product: 2 x 16 MB


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a photo that was decoded.

    Attributes:
        digest: SHA-256 of the file, hexadecimal.
        thumbnail: (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3) uint8, aspect ratio not kept.
    """

    digest: str
    thumbnail: NDArray[np.uint8]


def fingerprints(paths: Sequence[Path]) -> list[Fingerprint | ImageError]:
    """Decode every photo once, on all cores; a file that is no photo gives its error instead."""
    bar = tqdm(total=len(paths), desc="reading photos", unit="photo", leave=False,
               disable=not sys.stderr.isatty())  # fmt: skip
    found = []
    with bar, ThreadPoolExecutor(available_cores()) as pool:  # Pillow decodes outside Python's lock
        try:
            for result in pool.map(_fingerprint, paths):
                found.append(result)
                bar.update()
        except BaseException:  # Ctrl-C must not wait for the photos that are left
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _fingerprint(path: Path) -> Fingerprint | ImageError:
    try:
        return Fingerprint(file_digest(path), thumbnail(read_image(path)))
    except ImageError as error:
        return error
    except OSError as error:
        return ImageError(f"{path}: cannot be read ({error.strerror})")


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Squeeze an RGB picture into the square that descriptors are made of."""
    side = THUMBNAIL_SIDE
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))


def describe(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the descriptors: coefficients of even and of odd horizontal frequency.

    Together they have length 1, or less where the picture is too plain to be told from others.

    Shape: (N, THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3) uint8 -> twice (N, FREQUENCIES * FREQUENCIES / 2 * 3).
    """
    frequency = np.arange(FREQUENCIES)[:, None]
    position = np.arange(THUMBNAIL_SIDE)[None]
    cosines = np.cos(np.pi / THUMBNAIL_SIDE * frequency * (position + 0.5)) * np.sqrt(2 / THUMBNAIL_SIDE)
    cosines[0] /= np.sqrt(2)
    cosines = cosines.astype(np.float32)
    weights = np.hypot(frequency, frequency.T).astype(np.float32)  # 0 for the mean brightness
    coefficients = np.einsum(
        "uy,nyxc,vx->nuvc", cosines, thumbnails.astype(np.float32), cosines, optimize=True
    )
    coefficients *= weights[:, :, None]
    length = np.sqrt(np.einsum("nuvc,nuvc->n", coefficients, coefficients))
    coefficients /= np.maximum(length, PLAIN * np.sqrt(3) * THUMBNAIL_SIDE)[:, None, None, None]
    count = len(thumbnails)
    return coefficients[:, :, 0::2].reshape(count, -1), coefficients[:, :, 1::2].reshape(count, -1)


def duplicate_groups(photos: Sequence[Fingerprint]) -> list[tuple[int, ...]]:
    """Group the positions of photos that are linked by (near-)duplicates; photos without any are not named.

    Groups are connected components: members need not all resemble each other directly. They are sorted,
    and so are their members.
    """
    first_with: dict[str, int] = {}
    same = [first_with.setdefault(photo.digest, index) for index, photo in enumerate(photos)]
    distinct = np.array(sorted(first_with.values()), np.intp)
    group = np.arange(len(photos))
    group[distinct] = distinct[_linked(np.array([photos[index].thumbnail for index in distinct]))]
    members: dict[int, list[int]] = {}
    for index, original in enumerate(same):
        members.setdefault(int(group[original]), []).append(index)
    return sorted(tuple(indices) for indices in members.values() if len(indices) > 1)


def _linked(thumbnails: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return for every picture the position of the first one of its group.

    Pairs are merged block by block, so that a film of near-equal pictures does not fill the memory.
    """
    count = len(thumbnails)
    first = np.arange(count)
    if count < 2:
        return first
    parts = [describe(thumbnails[start : start + BLOCK]) for start in range(0, count, BLOCK)]
    for row, (even, odd) in enumerate(parts):
        for column, (other_even, other_odd) in enumerate(parts[row:], start=row):
            similarity = odd @ other_odd.T
            np.abs(similarity, out=similarity)  # the better of the upright and the mirrored comparison
            similarity += even @ other_even.T
            if column == row:
                np.fill_diagonal(similarity, 0)
            if similarity.max() > THRESHOLD:
                left, right = np.nonzero(similarity > THRESHOLD)
                first = _merge(first, left + row * BLOCK, right + column * BLOCK)
    return first


def _merge(first: NDArray[np.intp], left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.intp]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(first)
    ends = (np.concatenate([np.arange(count), left]), np.concatenate([first, right]))
    _, labels = connected_components(
        coo_matrix((np.ones(len(ends[0]), bool), ends), (count, count)), directed=False
    )
    _, smallest = np.unique(labels, return_index=True)
    return np.asarray(smallest[labels], np.intp)
