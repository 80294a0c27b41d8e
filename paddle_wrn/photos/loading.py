"""A list line -> a photo -> a batch.

A line of a list (see `lists`) names a photo's file, or a row of an array: `images.npy/00042` is row 42 of an
array (N, H, W, 3) of uint8, which is one file instead of N.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from paddle_wrn.config import InputConfig, Rgb
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.photos.lists import PhotoList
from paddle_wrn.photos.preprocessing import Preprocessing, read_square, resize_and_pad
from paddle_wrn.system.device import available_cores
from paddle_wrn.system.files import file_digest

Item = TypeVar("Item")

MEMORY_MB = InputConfig().memory_mb  # where no run says otherwise


@dataclass(frozen=True)
class Photos:
    """Decoded photos of one list.

    Attributes:
        images: (N, size, size, 3) uint8, RGB; in memory, or memory-mapped from an unnamed file.
        labels: (N,) int64.
        paths: where each photo came from.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.labels)


def load_photos(
    photo_list: PhotoList, size: int, memory_mb: int = MEMORY_MB, *, draft: bool = False
) -> Photos:
    """Decode every photo of a list once, on all cores, into black-padded squares.

    Rows of arrays that have this size already are copied as they are.

    Args:
        photo_list: which photos.
        size: side of the squares, pixels.
        memory_mb: beyond this many megabytes the squares are kept in an unnamed temporary file, which
            vanishes with the process.
        draft: as of `read_square`; a network must see drafts if it was trained on them, and only then.

    Raises:
        UserError: a photo is missing or broken; list, line and file are named.
    """
    images = _allocate((len(photo_list), size, size, 3), memory_mb)
    rows = _array_rows(photo_list)
    to_decode = []
    for index in range(len(photo_list)):
        if index in rows and rows[index].shape == (size, size, 3):
            images[index] = rows[index]
        else:
            to_decode.append(index)
    bar = tqdm(total=len(to_decode), desc=f"reading {photo_list.file.name}", unit="photo", leave=False,
               disable=not sys.stderr.isatty())  # fmt: skip

    def decode(index: int) -> ImageError | None:
        try:
            row = rows.get(index)
            if row is None:
                images[index] = np.asarray(read_square(photo_list.paths[index], size, draft))
            else:
                images[index] = np.asarray(resize_and_pad(Image.fromarray(row), size))
        except ImageError as error:
            return error
        return None

    with bar, ThreadPoolExecutor(available_cores()) as pool:  # Pillow decodes outside Python's lock
        for index, error in zip(to_decode, pool.map(decode, to_decode), strict=True):
            if error is not None:
                pool.shutdown(cancel_futures=True)
                raise UserError(f"{photo_list.where(index)}: {error}")
            bar.update()
    return Photos(images, photo_list.labels, photo_list.paths)


def load_for(contract: Preprocessing, photo_list: PhotoList, memory_mb: int = MEMORY_MB) -> Photos:
    """Decode every photo of a list as the network with this contract sees it, see `load_photos`.

    Raises:
        UserError: a photo is missing or broken; list, line and file are named.
    """
    return load_photos(photo_list, contract.size, memory_mb, draft=contract.draft)


def _array_rows(photo_list: PhotoList) -> dict[int, NDArray[np.uint8]]:
    """Return position in the list -> pixels (H, W, 3), for the lines that name a row of an array."""
    arrays: dict[str, NDArray[np.uint8]] = {}
    rows = {}
    for index, path in enumerate(photo_list.paths):
        file, number = os.path.split(path)
        if not (file.endswith(".npy") and number.isdecimal() and len(number) < 10):
            continue
        if file not in arrays:
            arrays[file] = _open_array(file, photo_list.where(index))
        if int(number) >= len(arrays[file]):
            found = f"rows 0 to {len(arrays[file]) - 1}, not" if len(arrays[file]) else "no rows, not even"
            raise UserError(f"{photo_list.where(index)}: {file} has {found} {number}")
        rows[index] = arrays[file][int(number)]
    return rows


def _open_array(file: str, where: str) -> NDArray[np.uint8]:
    try:
        array = np.lib.format.open_memmap(file, mode="r")  # reads no pickles
    except FileNotFoundError:
        raise UserError(f"{where}: {file}: no such file; check the path") from None
    except Exception as error:  # a broken file fails in many ways
        raise UserError(f"{where}: {file}: cannot be read as an array ({error}); prepare it again") from None
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape[1:]:
        found = f"{array.shape}, {array.dtype}"
        raise UserError(f"{where}: {file} is {found}; photos are (N, height, width, 3), uint8")
    return np.asarray(array)  # still mapped; rows of a plain array are made faster


def _allocate(shape: tuple[int, int, int, int], memory_mb: int) -> NDArray[np.uint8]:
    if np.prod(shape, dtype=np.int64) <= memory_mb * 1_000_000:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:  # the mapping keeps the unnamed file alive
        return np.memmap(file, np.uint8, "w+", shape=shape)


def measure_mean_std(images: NDArray[np.uint8]) -> tuple[Rgb, Rgb]:
    """Return per-channel mean and standard deviation of pixel values scaled to 0..1.

    Shape: (N, H, W, 3) uint8 -> (3,), (3,). A channel without contrast gets the standard deviation 1.
    """
    counts = np.zeros(3 * 256, np.int64)  # of each value of each channel
    for start in range(0, len(images), 100):  # Pillow copies what it counts
        part = images[start : start + 100]
        counts += Image.fromarray(part.reshape(-1, part.shape[2], 3)).histogram()
    shares = counts.reshape(3, 256) / (images.size // 3)
    values = np.arange(256) / 255
    mean = shares @ values
    std = np.sqrt(np.maximum(shares @ values**2 - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist())


def photo_digests(photo_list: PhotoList) -> list[str]:
    """Return the SHA-256 of the content of each photo, a file or a row of an array.

    Raises:
        UserError: a photo cannot be read; list, line and file are named.
    """
    rows = _array_rows(photo_list)

    def digest(index: int) -> str:
        if index in rows:
            return hashlib.sha256(f"{rows[index].shape}".encode() + rows[index].tobytes()).hexdigest()
        try:
            return file_digest(photo_list.paths[index])
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise UserError(
                f"{photo_list.where(index)}: {photo_list.paths[index]}: {reason}; check the path"
            ) from None

    with ThreadPoolExecutor(available_cores()) as pool:
        return list(pool.map(digest, range(len(photo_list))))


def prepared_ahead(jobs: Iterable[Callable[[], Item]]) -> Generator[Item]:
    """Yield what the jobs return, in order; the next one runs in a thread while the caller works."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Item] | None = None
        for job in jobs:
            following = pool.submit(job)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
