"""Time and memory of CIFAR-10 as one array, against 60,000 picture files.

    python benchmarks/cifar_input.py cifar10_jpeg.tar.gz [--repeats 3]

SOURCE is an archive of pictures in train/<class>/ and test/<class>/, since the picture files are unpacked
from it. Every line is measured in processes of its own: the median time, and the largest peak memory. The
first batch is what `train` waits for: all three lists are read and loaded, then 128 images shuffled, flipped
and normalised. Files were written just before, so the system's cache has them. Prints a Markdown table.
"""

import argparse
import multiprocessing
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import PIL

from data_tools.cifar10_source import CLASSES
from data_tools.prepare_cifar10 import prepare_cifar10
from paddle_wrn.config import AugmentConfig
from paddle_wrn.photos.augmentation import augment
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import Photos, load_photos
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.photos.splitting.archive import unpack
from paddle_wrn.system.device import available_cores
from paddle_wrn.training.batches import shuffled_batches

BATCH_SIZE = 128
FLIPS = AugmentConfig(crop_size=None, shift=0, flip_horizontal=0.5, flip_vertical=0, colour=0)
CONTRACT = Preprocessing(
    size=32,
    mean=(0.4914, 0.4824, 0.4467),
    std=(0.2471, 0.2435, 0.2616),
    classes=CLASSES,
    display_names=CLASSES,
)


def prepare(source: Path, folder: Path) -> float:
    """Return the seconds that making the array and the lists takes."""
    began = time.perf_counter()
    prepare_cifar10(source, folder)
    return time.perf_counter() - began


def first_batch(source: Path, folder: Path) -> float:
    """Return the seconds from nothing to the first batch."""
    began = time.perf_counter()
    next_batches(load_all(folder)["train"], 1)
    return time.perf_counter() - began


def load_train(source: Path, folder: Path) -> float:
    """Return the seconds that reading and loading the training list takes."""
    began = time.perf_counter()
    load_photos(read_data_folder(folder).train, CONTRACT.size)
    return time.perf_counter() - began


def epoch(source: Path, folder: Path) -> float:
    """Return the seconds an epoch of the input pipeline takes, once the images are loaded."""
    photos = load_photos(read_data_folder(folder).train, CONTRACT.size)
    began = time.perf_counter()
    next_batches(photos, len(photos) // BATCH_SIZE)
    return time.perf_counter() - began


def load_all(folder: Path) -> dict[str, Photos]:
    """Load all lists, as `train` does before its first step."""
    data = read_data_folder(folder)
    return {name: load_photos(data.split(name), CONTRACT.size) for name in ("train", "val", "test")}


def next_batches(photos: Photos, count: int) -> None:
    """Make batches in one thread, as a training step gets them."""
    rng = np.random.default_rng(0)
    for step, indices in shuffled_batches(len(photos), BATCH_SIZE, True, seed=0, epoch=0):
        if step == count:
            break
        CONTRACT.normalise(augment(photos.images[indices], FLIPS, rng))


def measured(job: Callable[[Path, Path], float], source: Path, folder: Path) -> tuple[float, float]:
    """Run a job in a process of its own; return its seconds and the peak memory of the process in MB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_with_memory, args=(there, job, source, folder))
    process.start()
    result: tuple[float, float] = here.recv()
    process.join()
    return result


def _with_memory(answer: Connection, job: Callable[[Path, Path], float], source: Path, folder: Path) -> None:
    seconds = job(source, folder)
    answer.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6))  # Linux: KiB


def list_files(photos: Path, store: Path, folder: Path) -> None:
    """Write the lists of the store anew, with picture files in place of rows."""
    files = [
        path
        for side in ("train", "test")
        for name in CLASSES
        for path in sorted((photos / side / name).iterdir())
    ]
    folder.mkdir()
    for name in ("train", "val", "test"):
        rows = (line.split() for line in (store / f"{name}.txt").read_text(encoding="utf-8").splitlines())
        lines = (f"{files[int(row.rpartition('/')[2])]} {label}\n" for row, label in rows)
        (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "classes.txt").write_bytes((store / "classes.txt").read_bytes())


def table(source: Path, repeats: int, folder: Path) -> str:
    """Measure everything in an empty folder; return the Markdown table."""
    store, files = folder / "store-0", folder / "files"
    runs = [measured(prepare, source, folder / f"store-{number}") for number in range(repeats)]
    unpack(source, folder / "photos")
    list_files(folder / "photos", store, files)
    images = len(read_data_folder(store).train)
    rows = [("prepare the array, once", runs)]
    for what, job, data in (
        (f"load {images:,} images of the array", load_train, store),
        (f"load {images:,} picture files", load_train, files),
        ("first batch, from the array", first_batch, store),
        ("first batch, from picture files", first_batch, files),
        (f"an epoch of input: shuffle, flip, normalise {images:,} images", epoch, store),
    ):
        rows.append((what, [measured(job, source, data) for _ in range(repeats)]))
    lines = ["| what | seconds (all runs) | peak memory, MB |", "|---|---|---|"]
    for what, runs in rows:
        times = sorted(seconds for seconds, _ in runs)
        shown = f"{statistics.median(times):.2f} ({', '.join(f'{seconds:.2f}' for seconds in times)})"
        lines.append(f"| {what} | {shown} | {max(memory for _, memory in runs):.0f} |")
    batches = images // BATCH_SIZE * BATCH_SIZE
    speed = batches / statistics.median(seconds for seconds, _ in rows[-1][1])
    lines += [
        "",
        f"Input pipeline, one thread: {speed:,.0f} images/s. images.npy has "
        f"{(store / 'images.npy').stat().st_size / 1e6:.1f} MB; {platform.system()} {platform.machine()}, "
        f"{available_cores()} cores; numpy {np.__version__}, pillow {PIL.__version__}, Python "
        f"{platform.python_version()}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(given.source, given.repeats, Path(folder)))


if __name__ == "__main__":
    main()
