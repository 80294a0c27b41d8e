"""Turn CIFAR-10 into one array of all images, and the lists to train with.

    python data_tools/prepare_cifar10.py cifar-10-python.tar.gz --output data/cifar10

SOURCE is the official Python or binary version, or pictures in train/<class>/ and test/<class>/. It may be a
folder or an archive, which is not unpacked to disk. The command writes images.npy (N, 32, 32, 3; uint8),
train.txt, val.txt and test.txt with lines such as `images.npy/00042 3`, classes.txt, and split.json, which
says how the lists were made. The same images give the same array, whatever form they come in: training
images before test images, each sorted by class. The official test images stay the test list.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

if not __package__:  # run as a file, whose folder is then searched for modules instead of the checkout
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data_tools.cifar10_source import CLASSES, SIDE, Images, read_cifar10
from paddle_wrn.cli import Parser, command
from paddle_wrn.errors import UserError
from paddle_wrn.photos.splitting.list_files import check_output, file_texts, save
from paddle_wrn.photos.splitting.photo_folder import staging
from paddle_wrn.system.console import command_line
from paddle_wrn.system.files import file_digest

ARRAY = "images.npy"
VERSION = 1  # of split.json


@dataclass(frozen=True)
class Store:
    """What `prepare_cifar10` made: images per list, and whether anything had to be written."""

    output: Path
    counts: Mapping[str, int]
    status: Literal["written", "unchanged"]


def prepare_cifar10(
    source: Path | str,
    output: Path | str,
    *,
    val: int = 5000,
    seed: int = 42,
    train_images: int | None = None,
    overwrite: bool = False,
) -> Store:
    """Write CIFAR-10 as one array and lists of its rows.

    Args:
        source: folder or archive with CIFAR-10 in any form.
        output: folder for the array and the lists.
        val: how many training images become the validation list, the same share of each class; 0: no list.
        seed: of the choice, 0 or more.
        train_images: use only so many training images, `val` among them, the same share of each class.
        overwrite: replace other lists in `output`.

    Raises:
        UserError: the source is missing, damaged, incomplete or something else, the numbers do not fit it, or
            other lists would be overwritten.
    """
    source, output = Path(source), Path(output)
    if seed < 0:
        raise UserError(f"seed: found {seed}; it must be 0 or more")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: this is a file; the lists need a folder")
    train, test = read_cifar10(source)
    rows = _choose_rows(train.labels, val, seed, train_images)
    rows["test"] = np.arange(len(test.labels)) + len(train.labels)
    labels = np.concatenate([train.labels, test.labels])
    lists = {
        name: [(f"{ARRAY}/{row:05d}", int(labels[row])) for row in np.sort(chosen).tolist()]
        for name, chosen in rows.items()
    }
    counts = {name: len(lines) for name, lines in lists.items()}
    with staging(output, elsewhere=False) as aside:
        _write_array(aside / ARRAY, [train, test])
        digest = file_digest(aside / ARRAY)
        record = {
            "version": VERSION,
            "source": source.as_posix(),
            "protocol": "official test images",
            "val": val,
            "test": len(test.labels),
            "seed": seed,
            "train_images": train_images,
            "counts": counts,
            "files": {ARRAY: digest},
        }
        texts = file_texts(lists, CLASSES, CLASSES, record, base=".")
        same = _check_output(output, texts, digest, overwrite)
        if not same:
            save(output, texts, aside / ARRAY, output / ARRAY)
    return Store(output, counts, "unchanged" if same else "written")


def _choose_rows(
    labels: NDArray[np.int64], val: int, seed: int, train_images: int | None
) -> dict[str, NDArray[np.int64]]:
    """Choose the training images that are trained with, and those of the validation list."""
    count = len(labels) if train_images is None else train_images
    if not 0 < count <= len(labels):
        raise UserError(f"train-images: found {count}; the source has {len(labels):,} training images")
    if not 0 <= val < count:
        raise UserError(
            f"val: found {val}; it must be at least 0 and below {count}, the number of training images"
        )
    order = _stratified_order(labels, seed)[:count]
    left_out = sorted(set(range(len(CLASSES))) - set(labels[order[val:]].tolist()))
    if left_out:
        raise UserError(
            f"val: found {val} of {count} training images; no image of class {CLASSES[left_out[0]]!r} is "
            "left to train with"
        )
    return {"train": order[val:]} | ({"val": order[:val]} if val else {})


def _stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Shuffle so that whatever is cut off at the front has the same share of each class, to one image."""
    place = np.empty(len(labels))  # of each image among its class, 0 to 1
    for label in range(len(CLASSES)):
        members = np.flatnonzero(labels == label)
        shuffled = np.random.default_rng([seed, label]).permutation(members)
        place[shuffled] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def _write_array(path: Path, parts: Sequence[Images]) -> None:
    """Write what `np.save` would, image by image: a second copy of all need not fit into memory."""
    count = sum(len(images.pixels) for images in parts)
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, SIDE, SIDE, 3)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for images in parts:
            for pixels in images.pixels:
                file.write(pixels.tobytes())


def _check_output(output: Path, texts: Mapping[str, bytes], digest: str, overwrite: bool) -> bool:
    """Return whether exactly this is there already; raise `UserError` if anything else would be lost."""
    array = output / ARRAY
    same = check_output(output, texts, overwrite)
    if array.exists() and not (output / "split.json").exists() and not overwrite:
        raise UserError(
            f"{output}: holds another {ARRAY} already (without the split.json that says how it was made); "
            "add --overwrite to replace it"
        )
    return same and array.is_file() and file_digest(array) == digest


def report(store: Store) -> str:
    """Say what was written, and the next command."""
    counts = ", ".join(f"{count:,} {name}" for name, count in store.counts.items())
    return (
        f"{store.output}: {store.status} ({counts} images, {len(CLASSES)} classes)\n"
        f"next: {command_line('train', '--config', 'wrn_16_4_cifar10', '--data', store.output)}"
    )


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Prepare CIFAR-10 as the command line says, and say what was done."""
    arguments = Parser(
        prog="python data_tools/prepare_cifar10.py",
        description=(__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    arguments.add_argument("source", metavar="SOURCE", help="folder or archive with CIFAR-10 in any form")
    arguments.add_argument(
        "--output",
        metavar="DIR",
        default="data/cifar10",
        help="folder for the array and the lists (%(default)s)",
    )
    arguments.add_argument(
        "--val",
        type=int,
        default=5000,
        metavar="N",
        help="number of training images to validate with (%(default)s)",
    )
    arguments.add_argument("--seed", type=int, default=42, help="seed of that choice (%(default)s)")
    arguments.add_argument(
        "--train-images", type=int, metavar="N", help="use only N training images (default: all)"
    )
    arguments.add_argument(
        "--overwrite", action="store_true", help="replace other lists in the output folder"
    )
    print(report(prepare_cifar10(**vars(arguments.parse_args(argv)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
