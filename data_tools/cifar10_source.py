"""CIFAR-10 in any of its forms -> labels and pixels.

The forms are the official Python version (pickles made by Python 2, of which only arrays, texts and numbers
are admitted), the official binary version (records of a label byte and 3072 pixel bytes: three planes), and
pictures in train/<class>/ and test/<class>/. Each may be a folder or an archive, which is read in one pass,
in memory. Within a class, images keep the order of their batches or of their names.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddle_wrn.errors import UserError
from paddle_wrn.models.pickles import load_arrays_pickle
from paddle_wrn.photos.preprocessing import IMAGE_SUFFIXES, read_image
from paddle_wrn.photos.splitting.archive import ARCHIVE_SUFFIXES, archive_suffix, read_members
from paddle_wrn.system.device import available_cores

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32  # pixels

Batch = tuple[NDArray[np.int64], NDArray[np.uint8]]  # labels (N,), pixels (N, 32, 32, 3)

_PIXEL_BYTES = 3 * SIDE * SIDE  # of an image
_MAX_FILE_BYTES = 200_000_000  # an official batch has 31 million
_MAX_BYTES = 1_000_000_000  # of all files
_TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_BATCHES = (*_TRAIN_BATCHES, "test_batch")
_DECODED_TOGETHER = 500  # pictures a thread takes at a time


@dataclass(frozen=True)
class Images:
    """The training or the test images, sorted by label.

    Attributes:
        labels: (N,) int64.
        pixels: N arrays (32, 32, 3), uint8, RGB.
    """

    labels: NDArray[np.int64]
    pixels: Sequence[NDArray[np.uint8]]


def read_cifar10(source: Path) -> tuple[Images, Images]:
    """Return the training and the test images of CIFAR-10 in any form.

    Raises:
        UserError: the source is missing, damaged, incomplete, unsafe or something else.
    """
    files = _read_files(source)
    forms = {_form(name) for name in files}
    if len(forms) != 1:
        found = "several forms of CIFAR-10 at once" if forms else "no CIFAR-10"
        raise UserError(
            f"{source}: found {found}; it needs data_batch_1 to 5, test_batch and batches.meta "
            "(the Python version), the same with .bin (the binary version), or pictures in train/<class>/ "
            "and test/<class>/"
        )
    if forms == {"pictures"}:
        parts = {side: _pictures(source, files, side) for side in ("train", "test")}
    else:
        suffix = ".bin" if forms == {"binary"} else ""
        parts = _batches(source, files, suffix)
    for side, images in parts.items():
        missing = sorted(set(range(len(CLASSES))) - set(images.labels.tolist()))
        if missing:
            raise UserError(
                f"{source}: no {side} image of class {CLASSES[missing[0]]!r}; CIFAR-10 has ten classes"
            )
    return parts["train"], parts["test"]


def _form(name: str) -> str | None:
    """Say which form of CIFAR-10 a file belongs to."""
    path = PurePosixPath(name)
    if path.name in (*_BATCHES, "batches.meta"):
        return "python"
    if path.name in (*(f"{batch}.bin" for batch in _BATCHES), "batches.meta.txt"):
        return "binary"
    is_picture = path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    return "pictures" if is_picture and path.parts[-3:-2] in (("train",), ("test",)) else None


def _read_files(source: Path) -> dict[str, bytes]:
    """Return name -> content of all files of the source that belong to any form."""
    if not source.exists():
        raise UserError(f"{source}: no such folder or archive; check the path")
    if not source.is_dir() and not archive_suffix(source):
        raise UserError(f"{source}: neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)})")
    if source.is_dir():
        members = _folder_files(source)
    else:
        members = read_members(source, lambda name: _form(name) is not None, _MAX_FILE_BYTES)
    files: dict[str, bytes] = {}
    size = 0
    for name, content in _progress(members, f"reading {source.name}", "file"):
        if name in files:
            raise UserError(f"{source}: {name} is there twice; pack it again with one of them")
        files[name] = content
        size += len(content)
        if size > _MAX_BYTES:
            raise UserError(f"{source}: more than {_MAX_BYTES:,} bytes; CIFAR-10 has far less")
    return files


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if _form(name) is not None and path.is_file():
            if path.stat().st_size > _MAX_FILE_BYTES:
                raise UserError(
                    f"{path}: more than {_MAX_FILE_BYTES:,} bytes; this is not a file of CIFAR-10"
                )
            yield name, path.read_bytes()


def _progress(items: Any, description: str, unit: str, total: int | None = None) -> Any:
    return tqdm(items, description, total, unit=unit, leave=False, disable=not sys.stderr.isatty())


# --- pictures


def _pictures(source: Path, files: Mapping[str, bytes], side: str) -> Images:
    """Decode the pictures of train/ or test/ on all cores."""
    found = []
    for name in sorted(files):
        above, class_name = PurePosixPath(name).parts[-3:-1]
        if class_name not in CLASSES:
            raise UserError(
                f"{source}: {name} is in the class {class_name!r}; CIFAR-10 has {', '.join(CLASSES)} "
                "(split_data takes photos of other classes)"
            )
        if above == side:
            found.append((CLASSES.index(class_name), name))
    if not found:
        raise UserError(f"{source}: no pictures in {side}/<class>/; both train/ and test/ are needed")
    found.sort()

    def decode(names: Sequence[str]) -> list[NDArray[np.uint8]]:
        return [_decode(f"{source}: {name}", files[name]) for name in names]

    names = [name for _, name in found]
    parts = [names[start : start + _DECODED_TOGETHER] for start in range(0, len(names), _DECODED_TOGETHER)]
    with ThreadPoolExecutor(available_cores()) as pool:  # Pillow decodes outside Python's lock
        decoded = list(_progress(pool.map(decode, parts), f"decoding {side}", "part", len(parts)))
    labels = np.array([label for label, _ in found], np.int64)
    return Images(labels, [pixels for part in decoded for pixels in part])


def _decode(where: str, content: bytes) -> NDArray[np.uint8]:
    image = read_image(where, content)
    if image.size != (SIDE, SIDE):
        raise UserError(
            f"{where}: {image.width} x {image.height} pixels; images of CIFAR-10 have {SIDE} x {SIDE} "
            "(split_data takes photos of any size)"
        )
    return np.asarray(image)


# --- batches


def _batches(source: Path, files: Mapping[str, bytes], suffix: str) -> dict[str, Images]:
    """Parse the six batches of the Python or the binary version."""
    names: dict[str, str] = {}
    for name in files:
        own = PurePosixPath(name).name
        if own in names:
            raise UserError(f"{source}: found {names[own]} and {name}; give one copy of CIFAR-10")
        names[own] = name
    meta = "batches.meta.txt" if suffix else "batches.meta"
    missing = [name for name in (*(batch + suffix for batch in _BATCHES), meta) if name not in names]
    if missing:
        raise UserError(f"{source}: without {', '.join(missing)}; all six batches and {meta} are needed")
    parse: Callable[[str, bytes], Batch] = _parse_binary if suffix else _parse_pickle
    read_classes = _classes_of_text if suffix else _classes_of_pickle
    classes = read_classes(f"{source}: {names[meta]}", files[names[meta]])
    if classes != CLASSES:
        raise UserError(
            f"{source}: {names[meta]} names the classes {', '.join(classes)}; CIFAR-10 has "
            f"{', '.join(CLASSES)}"
        )
    batches = {}
    for batch in _BATCHES:
        name = names[batch + suffix]
        batches[batch] = parse(f"{source}: {name}", files[name])
    most = max(len(labels) for labels, _ in batches.values())
    for batch, (labels, _) in batches.items():
        where = f"{source}: {names[batch + suffix]}"
        if len(labels) < most:
            raise UserError(
                f"{where}: {len(labels):,} images where other batches have {most:,}; use a whole copy"
            )
        if labels.min() < 0 or labels.max() >= len(CLASSES):
            wrong = int(labels.min() if labels.min() < 0 else labels.max())
            raise UserError(
                f"{where}: found the label {wrong}; labels of CIFAR-10 are 0 to {len(CLASSES) - 1}"
            )
    return {
        "train": _joined([batches[batch] for batch in _TRAIN_BATCHES]),
        "test": _joined([batches["test_batch"]]),
    }


def _parse_binary(where: str, content: bytes) -> Batch:
    record = 1 + _PIXEL_BYTES
    if not content or len(content) % record:
        whole = (len(content) // record + 1) * record
        raise UserError(
            f"{where}: {len(content):,} bytes; {whole:,} or another multiple of {record} (a label and "
            f"{_PIXEL_BYTES} pixels) are needed, so the file is cut short"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    return records[:, 0].astype(np.int64), _channels_last(records[:, 1:])


def _parse_pickle(where: str, content: bytes) -> Batch:
    batch = _load_dictionary(where, content)
    labels = batch.get("labels")
    pixels: Any = batch.get("data")
    fits = (
        isinstance(pixels, np.ndarray)
        and pixels.dtype == np.uint8
        and isinstance(labels, list)
        and all(isinstance(label, int) and abs(label) < 1000 for label in labels)
        and len(labels) > 0
        and pixels.shape == (len(labels), _PIXEL_BYTES)
    )
    if not fits:
        raise UserError(
            f"{where}: not a batch of CIFAR-10; it needs `data`, N x {_PIXEL_BYTES} bytes, and N `labels`"
        )
    return np.array(labels, np.int64), _channels_last(pixels)


def _channels_last(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shape: (N, 3072) -> (N, 32, 32, 3)."""
    return planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _classes_of_text(where: str, content: bytes) -> tuple[str, ...]:
    return tuple(content.decode("utf-8", "replace").split())


def _classes_of_pickle(where: str, content: bytes) -> tuple[str, ...]:
    names = _load_dictionary(where, content).get("label_names")
    return tuple(map(_text, names)) if isinstance(names, list) else ()


def _load_dictionary(where: str, content: bytes) -> dict[str, Any]:
    found = load_arrays_pickle(BytesIO(content), where)
    if not isinstance(found, dict):
        raise UserError(f"{where}: found a {type(found).__name__}; CIFAR-10's pickles are dictionaries")
    return {_text(key): value for key, value in found.items()}


def _text(value: object) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _joined(batches: Sequence[Batch]) -> Images:
    labels = np.concatenate([labels for labels, _ in batches])
    pixels = [image for _, images in batches for image in images]
    order = np.argsort(labels, kind="stable")
    return Images(labels[order], [pixels[index] for index in order.tolist()])
