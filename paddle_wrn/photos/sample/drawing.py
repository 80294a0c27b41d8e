"""Draw the sample birds: a small data set of made-up photos of four species, made on the spot.

Each picture is one bird with the field marks of its species. Pose, size, place, light, focus and backdrop
vary, and they tell nothing about the species. Picture i of a species depends on (seed, species, i) only, so
the same seed gives the same bytes on the same Pillow.

This file composes a picture and looks after the files of a sample. The birds are in birds.py, what is around
them is in scenery.py, and both are lists of parts (parts.py), which are outlines of one colour each.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from paddle_wrn.errors import UserError
from paddle_wrn.photos.sample.birds import DISPLAY_NAMES, SPECIES, draw_bird, modelled, random_pose
from paddle_wrn.photos.sample.parts import Rng, Size, blurred, overlaid, paint
from paddle_wrn.photos.sample.scenery import afloat, mean_side, photographed, spray, stage

VERSION = 1  # of the drawings: raise it whenever the same settings would give other pictures
SETTINGS_FILE = "sample.json"
NAMES_FILE = "display_names.txt"
SHORT_SIDE_PX = (160, 216)  # least and largest shorter side
LONG_SIDE_LIMIT_PX = 320
ASPECT_RATIOS = (2 / 3, 3 / 4, 1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9)  # width / height
# Longer side of a bird, as a share of its picture's geometric mean side: least, most frequent, greatest.
BIRD_SHARE = (0.30, 0.85, 0.95)
CUT_SHARE = 0.12  # most of the width or height of the bird which the frame may cut off
JPEG_QUALITY = (50, 93)


def picture_size(rng: Rng) -> Size:
    """Choose the width and height of a picture in pixels."""
    ratio = float(rng.choice(ASPECT_RATIOS))
    stretch = max(ratio, 1 / ratio)
    most = min(SHORT_SIDE_PX[1], int(LONG_SIDE_LIMIT_PX / stretch))
    short = int(rng.integers(SHORT_SIDE_PX[0], most, endpoint=True))
    long = round(short * stretch)
    return (long, short) if ratio > 1 else (short, long)


def draw_picture(name: str, index: int, seed: int) -> tuple[Image.Image, int]:
    """Draw picture number index of a species; return it with the JPEG quality to save it with."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), index])
    size, pose = picture_size(rng), random_pose(rng)
    side = mean_side(size)
    layer = draw_bird(SPECIES[name], pose, side * rng.triangular(*BIRD_SHARE), size)
    bird, feet = modelled(layer.image, rng), layer.feet
    if rng.random() < 0.5:
        bird, feet = ImageOps.mirror(bird), np.array([bird.size[0] - feet[0], feet[1]])
    own, cut = np.array(bird.size), CUT_SHARE * np.array(bird.size)
    left, top = (int(shift) for shift in rng.uniform(-cut, size - own + cut))
    scene = stage(rng, pose.stance, np.add(feet, (left, top)), size)
    if pose.stance == "water":
        scene = afloat(scene, bird, (left, top), round(feet[1]))
    else:
        scene = overlaid(scene, bird, (left, top))
    for _ in range(rng.choice(3, p=(0.5, 0.35, 0.15))):
        scene = overlaid(scene, blurred(paint(spray(rng, size), size), rng.uniform(0.5, 3)))
    return photographed(scene, rng), int(rng.integers(*JPEG_QUALITY, endpoint=True))


def picture_paths(per_species: int) -> list[tuple[str, int, Path]]:
    """List the pictures of a sample: species, number, and path inside the sample's folder."""
    return [
        (name, index, Path(name, f"{name.lower().replace(' ', '_')}_{index:03d}.jpg"))
        for name in SPECIES
        for index in range(per_species)
    ]


def holds_sample(folder: Path, settings: dict[str, int]) -> bool:
    """Tell whether a folder holds exactly the sample with these settings."""
    if not (folder / SETTINGS_FILE).is_file():
        return False
    wanted = {path for _, _, path in picture_paths(settings["per_species"])}
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    if found != wanted | {Path(SETTINGS_FILE), Path(NAMES_FILE)}:
        return False
    return (folder / SETTINGS_FILE).read_text(encoding="utf-8") == json.dumps(settings)


def write_sample(folder: Path, settings: dict[str, int]) -> None:
    """Draw a sample into a new folder."""
    for name in SPECIES:
        (folder / name).mkdir(parents=True)
    for name, index, path in picture_paths(settings["per_species"]):
        picture, quality = draw_picture(name, index, settings["seed"])
        picture.save(folder / path, quality=quality)
    names = "".join(f"{name}\t{display_name}\n" for name, display_name in DISPLAY_NAMES.items())
    (folder / NAMES_FILE).write_bytes(names.encode())
    (folder / SETTINGS_FILE).write_text(json.dumps(settings), encoding="utf-8")


def make_sample_birds(output: Path, per_species: int = 100, seed: int = 0) -> Path:
    """Draw the sample birds, a folder of JPEG files for each species, unless they are there already.

    Args:
        output: The folder to make. It appears only when everything in it is drawn.
        per_species: How many pictures of each species.
        seed: Which pictures: the same number gives the same ones again.

    Returns:
        The folder.

    Raises:
        UserError: If a number is out of range, or if output holds anything else.
    """
    if per_species < 1:
        raise UserError(f"pictures of each species: found {per_species}; at least 1 is needed")
    if seed < 0:
        raise UserError(f"seed: found {seed}; it must be 0 or more")
    settings = {"version": VERSION, "per_species": per_species, "seed": seed}
    target = output.resolve()
    if holds_sample(target, settings):
        return output
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{output}: holds something other than these sample birds; choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as unfinished:
        drawn = Path(unfinished, target.name)
        write_sample(drawn, settings)
        try:
            if target.exists():
                target.rmdir()  # Windows does not rename over an empty folder
            drawn.rename(target)
        except OSError:
            if not holds_sample(target, settings):  # else another process has drawn the same meanwhile
                raise
    return output
