"""A list line -> a photo -> a batch.

Lists are UTF-8 text, one `path label` a line, separated by the last blank or tab; relative paths are
relative to the list. Beside them `classes.txt` names one class a line (line number = label), with an
optional display name after a tab. `split_data` writes both; the bird tutorial's own lists are read too.
"""

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddle_wrn.config import Rgb
from paddle_wrn.device import available_cores
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.preprocessing import read_image, resize_and_pad

MAX_CLASSES = 100_000

Item = TypeVar("Item")


@dataclass(frozen=True)
class PhotoList:
    """The lines of one list: photo `paths[i]` shows class `labels[i]`."""

    file: Path
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, index: int) -> str:
        """Say where photo `index` stands, for error messages."""
        return f"{self.file}, line {self.lines[index]}"


@dataclass(frozen=True)
class Classes:
    """Class names (position = label) and what to show to people."""

    names: tuple[str, ...]
    display_names: tuple[str, ...]


@dataclass(frozen=True)
class DataFolder:
    """What `split_data` wrote: the classes and up to three lists."""

    folder: Path
    classes: Classes
    train: PhotoList
    val: PhotoList | None
    test: PhotoList | None

    def split(self, name: str) -> PhotoList:
        """Return the list `train`, `val` or `test`; raise `UserError` if there is none."""
        photo_list: PhotoList | None = getattr(self, name)
        if photo_list is None:
            raise UserError(f"{self.folder / name}.txt: no such list; split the photos with split_data")
        return photo_list

    def digest(self) -> str:
        """Return a fingerprint of the classes and lists: equal only if a run can be continued on them."""
        present = [part for part in (self.train, self.val, self.test) if part is not None]
        text = [
            repr(self.classes.names),
            *(part.file.name + part.file.read_text("utf-8") for part in present),
        ]
        return hashlib.sha256("\n".join(text).encode()).hexdigest()


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


def read_data_folder(folder: Path | str) -> DataFolder:
    """Read and check the lists of a folder.

    Raises:
        UserError: a list is missing or a line is wrong; file and line are named.
    """
    folder = Path(folder)
    if not (folder / "train.txt").is_file():
        found = "train.txt is missing" if folder.is_dir() else "no such folder"
        make = f"python -m paddle_wrn.split_data PHOTOS --output {folder}"
        raise UserError(f"{folder}: {found}; make the lists with: {make}")
    classes_file = folder / "classes.txt"
    named = read_classes(classes_file) if classes_file.is_file() else None
    num_classes = None if named is None else len(named.names)
    files = {name: folder / f"{name}.txt" for name in ("train", "val", "test")}
    lists = {name: read_list(file, num_classes) for name, file in files.items() if file.is_file()}
    classes = named or _classes_from_folders(lists["train"])
    for name, photo_list in lists.items():
        if len(photo_list) == 0:
            raise UserError(f"{photo_list.file}: the list is empty; it needs at least one `path label` line")
        beyond = int(photo_list.labels.max())
        if beyond >= len(classes.names):
            raise UserError(f"{name}.txt: label {beyond} does not occur in train.txt; split the photos again")
    missing = sorted(set(range(len(classes.names))) - set(lists["train"].labels.tolist()))
    if missing:
        raise UserError(
            f"{files['train']}: no photo of class {classes.names[missing[0]]!r} (label {missing[0]})"
        )
    if len(classes.names) < 2:
        raise UserError(f"{folder}: one class only ({classes.names[0]!r}); telling apart needs two or more")
    return DataFolder(folder, classes, lists["train"], lists.get("val"), lists.get("test"))


def read_list(file: Path | str, num_classes: int | None = None) -> PhotoList:
    """Read a list; whether the photos can be decoded is seen when they are loaded.

    Raises:
        UserError: the file is missing or not UTF-8, or a line has no label or one out of range.
    """
    file = Path(file)
    paths, labels, numbers = [], [], []
    for number, line in enumerate(_read_lines(file), start=1):
        if not line.strip():
            continue
        path, label = _parse(line, f"{file}, line {number}", num_classes)
        paths.append(file.parent / path)
        labels.append(label)
        numbers.append(number)
    return PhotoList(file, tuple(paths), np.array(labels, np.int64), tuple(numbers))


def _parse(line: str, where: str, num_classes: int | None) -> tuple[str, int]:
    parts = line.rstrip().replace("\t", " ").rsplit(" ", 1)
    if len(parts) < 2 or not parts[0].strip():
        raise UserError(f"{where}: found {line.strip()!r}; `path label` is needed")
    path, label = line[: len(parts[0])].rstrip(), parts[1]
    if not label.isdecimal() or len(label) > 9:
        found = repr(label[:40])
        raise UserError(f"{where}: found {found} as the label; a number from 0 is needed (`path label`)")
    limit = MAX_CLASSES if num_classes is None else num_classes
    if int(label) >= limit:
        raise UserError(f"{where}: label {label} is out of range; classes.txt has labels 0 to {limit - 1}")
    return path, int(label)


def read_classes(file: Path | str) -> Classes:
    """Read `classes.txt`: `name` or `name<TAB>display name` a line, line number = label."""
    file = Path(file)
    names, display_names = [], []
    for number, line in enumerate(_read_lines(file), start=1):
        name, _, display_name = (part.strip() for part in line.partition("\t"))
        if not name:
            raise UserError(
                f"{file}, line {number}: found an empty line; each line names the class of that label"
            )
        if name in names:
            raise UserError(f"{file}, line {number}: class {name!r} stands there twice; names must differ")
        names.append(name)
        display_names.append(display_name or name)
    if not names:
        raise UserError(f"{file}: the file is empty; each line names the class of that label")
    return Classes(tuple(names), tuple(display_names))


def _read_lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8 text; save it as UTF-8") from None
    return text.removesuffix("\n").split("\n") if text else []


def _classes_from_folders(train: PhotoList) -> Classes:
    """Name the classes of lists without classes.txt (the tutorial's) by the folders of their photos."""
    names: dict[int, str] = {}
    for index, (path, label) in enumerate(zip(train.paths, train.labels.tolist(), strict=True)):
        if names.setdefault(label, path.parent.name) != path.parent.name:
            raise UserError(
                f"{train.where(index)}: label {label} is used for the folders {names[label]!r} and "
                f"{path.parent.name!r}; add a classes.txt beside the lists that names the classes"
            )
    if sorted(names) != list(range(len(names))):
        raise UserError(
            f"{train.file}: labels are {sorted(names)[:5]}...; they must count from 0 without a gap"
        )
    ordered = tuple(names[label] for label in range(len(names)))
    return Classes(ordered, ordered)


def load_photos(photo_list: PhotoList, size: int, memory_mb: int = 1000) -> Photos:
    """Decode every photo of a list once, on all cores, into black-padded squares.

    Args:
        photo_list: which photos.
        size: side of the squares, pixels.
        memory_mb: beyond this many megabytes the squares are kept in an unnamed temporary file, which
            vanishes with the process.

    Raises:
        UserError: a photo is missing or broken; list, line and file are named.
    """
    shape = (len(photo_list), size, size, 3)
    images = _allocate(shape, memory_mb)
    bar = tqdm(total=len(photo_list), desc=f"reading {photo_list.file.name}", unit="photo", leave=False,
               disable=not sys.stderr.isatty())  # fmt: skip

    def decode(index: int) -> ImageError | None:
        try:
            images[index] = np.asarray(resize_and_pad(read_image(photo_list.paths[index]), size))
        except ImageError as error:
            return error
        return None

    with bar, ThreadPoolExecutor(available_cores()) as pool:  # Pillow decodes outside Python's lock
        for index, error in enumerate(pool.map(decode, range(len(photo_list)))):
            if error is not None:
                pool.shutdown(cancel_futures=True)
                raise UserError(f"{photo_list.where(index)}: {error}")
            bar.update()
    return Photos(images, photo_list.labels, photo_list.paths)


def _allocate(shape: tuple[int, int, int, int], memory_mb: int) -> NDArray[np.uint8]:
    if np.prod(shape, dtype=np.int64) <= memory_mb * 1_000_000:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:  # the mapping keeps the unnamed file alive
        return np.memmap(file, np.uint8, "w+", shape=shape)


def measure_mean_std(images: NDArray[np.uint8]) -> tuple[Rgb, Rgb]:
    """Return per-channel mean and standard deviation of pixel values scaled to 0..1.

    Shape: (N, H, W, 3) uint8 -> (3,), (3,). A channel without contrast gets the standard deviation 1.
    """
    total, squares = np.zeros(3), np.zeros(3)
    for start in range(0, len(images), 1000):  # in parts: float64 copies of all would not fit
        pixels = images[start : start + 1000].reshape(-1, 3).astype(np.float64) / 255
        total += pixels.sum(0)
        squares += (pixels**2).sum(0)
    count = images.size // 3
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist())


def steps_per_epoch(count: int, batch_size: int, drop_last: bool) -> int:
    """Return the number of batches of an epoch; there is always one.

    Args:
        count: number of photos.
        batch_size: photos per step.
        drop_last: leave out the photos that do not fill a batch (others in every epoch).
    """
    full, rest = divmod(count, batch_size)
    return full if full and (drop_last or not rest) else full + 1


def shuffled_batches(
    count: int, batch_size: int, drop_last: bool, seed: int, epoch: int, first: int = 0
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (step, indices) of one epoch; the order depends on seed and epoch alone.

    Args:
        count: number of photos.
        batch_size: photos per step.
        drop_last: leave out the last batch if it is smaller.
        seed: of the run.
        epoch: number of the epoch.
        first: step to begin with, when an epoch is continued.
    """
    order = np.random.default_rng([seed, epoch]).permutation(count)
    for step in range(first, steps_per_epoch(count, batch_size, drop_last)):
        yield step, order[step * batch_size : (step + 1) * batch_size]


def prepared_ahead(jobs: Iterable[Callable[[], Item]]) -> Iterator[Item]:
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
