"""What the benchmarks are fed: drawn photos, their lists, arrays of noise; made once, then found again."""

import math
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.processes import run_module

PHOTO_SIZE = (500, 375)  # pixels, that of many photo collections
JPEG_QUALITY = 90
CLASSES = 10
SAMPLE_PER_SPECIES = 150  # of four species: 600 photos


def sample_birds(folder: Path) -> Path:
    """Return a folder of 600 drawn birds."""
    photos = folder / "sample_birds"
    run_module("data_tools.make_sample_birds", "--output", photos, "--per-species", SAMPLE_PER_SPECIES)
    return photos


def lists_of(photos: Path, folder: Path, seed: int) -> Path:
    """Return a folder of lists, 70/15/15, of a folder of photos."""
    lists = folder / f"lists-{photos.name}-{seed}"
    run_module("paddle_wrn.split_data", photos, "--output", lists, "--seed", seed)
    return lists


def count_photos(lists: Path) -> int:
    """Return the number of photos in all lists of a folder."""
    files = [lists / f"{name}.txt" for name in ("train", "val", "test")]
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def large_photos(folder: Path, count: int) -> Path:
    """Return a list of drawn JPEG photos of 500 x 375 pixels, most of them landscape."""

    def draw(photos: Path) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda number: _draw_photo(number).save(
                photos / f"{number:05}.jpg", quality=JPEG_QUALITY), range(count)))  # fmt: skip
        lines = (f"{number:05}.jpg {number % CLASSES}\n" for number in range(count))
        (photos / "train.txt").write_text("".join(lines), encoding="utf-8")

    return _once(folder / f"photos-{count}", draw) / "train.txt"


def array_store(folder: Path, train: int, size: int = 32) -> Path:
    """Return a folder of lists whose photos are rows of one array of noise."""
    evaluated = 2 * CLASSES

    def draw(store: Path) -> None:
        images = np.random.default_rng(0).integers(0, 256, (train + evaluated, size, size, 3), np.uint8)
        np.save(store / "images.npy", images)
        for name, rows in (("train", range(train)), ("val", range(train, train + evaluated))):
            lines = (f"images.npy/{row:05} {row % CLASSES}\n" for row in rows)
            (store / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
        names = "".join(f"class {label}\n" for label in range(CLASSES))
        (store / "classes.txt").write_text(names, encoding="utf-8")

    return _once(folder / f"store-{train}-{size}", draw)


def _draw_photo(number: int) -> Image.Image:
    """Draw soft noise of several scales, as skies and leaves have it, and some shapes on top."""
    rng = np.random.default_rng(number)
    size = PHOTO_SIZE if number % 4 else PHOTO_SIZE[::-1]
    pixels = np.zeros((size[1], size[0], 3), np.float32)
    for scale, strength in ((125, 90), (25, 30), (5, 15), (2, 8)):  # pixels, grey levels
        small = rng.normal(0, 1, (math.ceil(size[1] / scale) + 1, math.ceil(size[0] / scale) + 1))
        layer = Image.fromarray(small.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        pixels += strength * np.asarray(layer)[..., None] * rng.uniform(0.5, 1, 3).astype(np.float32)
    photo = Image.fromarray(np.clip(pixels + 128, 0, 255).astype(np.uint8))
    brush = ImageDraw.Draw(photo)
    for left, top, width, height, *colour in rng.integers(0, 256, (12, 7)).tolist():
        brush.ellipse((left, top, left + width / 2, top + height / 2), fill=tuple(colour))
    return photo


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder unless it is there; it appears only when it is complete."""
    if not folder.exists():
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        make(unfinished)
        unfinished.rename(folder)
    return folder
