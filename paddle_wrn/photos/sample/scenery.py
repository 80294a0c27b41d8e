"""The scenery: where a bird is, what it stands or swims on, what is in its way, and the light on it all.

`stage` draws a place out of focus with the ground, the water or the branch below the bird, `afloat` lays a
swimming bird on it, `spray` draws the twigs before and behind the bird, and `photographed` takes the picture.
All it is told of the bird is its stance and where it stands, so the scenery gives no species away.

After a change here which makes other pictures, raise VERSION in make_sample_birds.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from paddle_wrn.photos.sample.parts import (
    LEAF,
    STICK,
    Part,
    Rng,
    Size,
    along,
    blurred,
    disc,
    overlaid,
    paint,
    shaded,
    soft_noise,
    turned,
    with_brightness,
)

FOCUS_BLUR_PX = (0.3, 0.7, 1.2, 1.8)


class Backdrop(NamedTuple):
    """A kind of place: its colours from top to bottom, and the blobs out of focus in it."""

    top: str
    bottom: str
    blob_colours: Sequence[str]
    blob_count: int
    blob_size: tuple[float, float]  # shares of the picture's geometric mean side


BACKDROPS = (
    Backdrop("#5b9bd8", "#d8e8f4", ("#ffffff", "#f2f5fa", "#dfe7f0"), 8, (0.40, 0.14)),  # summer sky
    Backdrop("#8e97a6", "#d9d7d2", ("#c3c7ce", "#eceae6", "#7b828e"), 9, (0.50, 0.16)),  # overcast
    Backdrop("#d98a5a", "#f2d58a", ("#f6e3b0", "#c8665a", "#7d5a78"), 7, (0.60, 0.08)),  # sunset
    Backdrop("#2f5a2c", "#5f8a3a", ("#3f7a34", "#7fae48", "#24471f", "#a9c45a"), 60, (0.13, 0.07)),  # leaves
    Backdrop("#8a5a26", "#c48a32", ("#b5622c", "#e0b030", "#6b3a1c", "#d98a2a"), 60, (0.12, 0.07)),  # autumn
    Backdrop("#1c2a24", "#33402e", ("#d8c86a", "#8fb87a", "#f4f0dc", "#56705a"), 26, (0.11, 0.11)),  # bokeh
    Backdrop("#2f6d86", "#8cb8c0", ("#4b8ba2", "#a9ced2", "#235468", "#e4f0f0"), 40, (0.36, 0.018)),  # water
    Backdrop("#b9a480", "#dcc9a0", ("#a08a66", "#ecdfc2", "#8c7856", "#c8b48c"), 70, (0.07, 0.022)),  # sand
    Backdrop("#6a8a3e", "#98a848", ("#e8c820", "#d83a2c", "#f6f4ee", "#4c6a2c"), 45, (0.06, 0.06)),  # blossom
    Backdrop("#3a3436", "#6a5c54", ("#1c1a1e", "#8c7c70", "#52484a", "#b8aaa0"), 40, (0.16, 0.12)),  # rocks
)
SURFACES = {  # by stance: colours, and the width of a streak in pixels
    "ground": (("#cdb68c", "#6f8a44", "#8a8680", "#e6e8ec", "#7a5a3e", "#b0602c", "#4a4844"), 3),
    "water": (("#3d7286", "#5b8f98", "#7d8a94", "#40604e", "#8fb4c8"), 25),
}
BARK = ("#5a4636", "#7d6a58", "#3c322c", "#98897a")
LEAVES = ("#3f7a34", "#6f9c3c", "#2c5428", "#b5622c", "#d8b030", "#5a4636")
BLOSSOMS = ("#f2c91c", "#e33a22", "#fbfaf5", "#e07a30", "#1d1c20", "#d87aa8")


def mean_side(size: Size) -> float:
    """Return the geometric mean of the sides of a picture."""
    return math.sqrt(size[0] * size[1])


def gradient(top: str, bottom: str, size: Size) -> Image.Image:
    """Blend one colour into another from top to bottom."""
    share = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), share)


def draw_backdrop(rng: Rng, size: Size) -> Image.Image:
    """Draw a place out of focus."""
    backdrop = BACKDROPS[rng.integers(len(BACKDROPS))]
    scene = gradient(backdrop.top, backdrop.bottom, size)
    draw = ImageDraw.Draw(scene)
    for _ in range(backdrop.blob_count):
        x, y = rng.random(2) * size
        half = np.array(backdrop.blob_size) * mean_side(size) * rng.lognormal(-0.7, 0.4)
        colour = shaded(str(rng.choice(backdrop.blob_colours)), rng.uniform(0.8, 1.15))
        draw.ellipse((x - half[0], y - half[1], x + half[0], y + half[1]), fill=colour)
    scene = blurred(scene, mean_side(size) * backdrop.blob_size[1] * rng.uniform(0.15, 0.5))
    return with_brightness(scene, 1 + 0.07 * soft_noise(rng, size, mean_side(size) / 4))


def surface(rng: Rng, size: Size, colours: Sequence[str], streak_px: float) -> Image.Image:
    """Draw ground or water seen from the side: paler far away, with streaks."""
    colour = str(rng.choice(colours))
    band = gradient(shaded(colour, 1.2), shaded(colour, 0.8), size)
    streaks = soft_noise(rng, (max(1, round(size[0] / streak_px)), size[1]), 2.5)
    field = Image.fromarray(1 + 0.09 * streaks).resize(size, Image.Resampling.BICUBIC)
    return with_brightness(band, np.asarray(field))


def blossom(rng: Rng, at: np.ndarray, radius: float) -> list[Part]:
    """Draw a blossom in a colour which some bird wears too, so that a colour alone gives nothing away."""
    colour, first = str(rng.choice(BLOSSOMS)), rng.uniform(0, 360)
    petals = [at + turned(first + angle) @ (0.6 * radius, 0) for angle in range(0, 360, 72)]
    parts = [Part(shaded(colour, rng.uniform(0.85, 1.1)), disc(petal, 0.5 * radius)) for petal in petals]
    return [*parts, Part(shaded(colour, 0.7), disc(at, 0.3 * radius))]


def twig(rng: Rng, start: np.ndarray, end: np.ndarray, width_px: float, leaf_px: float) -> list[Part]:
    """Draw a twig with some leaves and blossoms on it."""
    bark = str(rng.choice(BARK))
    parts = [Part(bark, along(start, end, width_px, STICK))]
    parts.append(Part(shaded(bark, 1.3), along(start, end, 0.3 * width_px, STICK), True))
    for _ in range(rng.integers(1, 8)):
        at, length = start + rng.random() * (end - start), leaf_px * rng.uniform(0.6, 1.3)
        if rng.random() < 0.3:
            parts += blossom(rng, at, 0.4 * length)
        else:
            leaf_end = at + turned(rng.uniform(0, 360)) @ (length, 0)
            colour = shaded(str(rng.choice(LEAVES)), rng.uniform(0.75, 1.2))
            parts.append(Part(colour, along(at, leaf_end, length * rng.uniform(0.35, 0.6), LEAF)))
    return parts


def perch(rng: Rng, at: np.ndarray, size: Size) -> list[Part]:
    """Draw a branch across the picture through a point."""
    slope, side = rng.uniform(-0.25, 0.25), mean_side(size)
    ends = [np.array([x, at[1] + slope * (x - at[0])]) for x in (-0.1 * side, size[0] + 0.1 * side)]
    return twig(rng, ends[0], ends[1], side * rng.uniform(0.025, 0.06), 0.1 * side)


def spray(rng: Rng, size: Size) -> list[Part]:
    """Draw a twig which reaches into the picture from its edge."""
    middle, side = np.array(size) / 2, mean_side(size)
    start = middle + turned(rng.uniform(0, 360)) @ (0.75 * side, 0)
    end = start + rng.uniform(0.4, 0.9) * (rng.random(2) * size - start)
    return twig(rng, start, end, side * rng.uniform(0.008, 0.02), side * rng.uniform(0.08, 0.14))


def stage(rng: Rng, stance: str, feet: np.ndarray, size: Size) -> Image.Image:
    """Draw the place, with what the bird stands or swims on."""
    scene, side = draw_backdrop(rng, size), mean_side(size)
    horizon = max(0, round(feet[1] - side * rng.uniform(0.04, 0.3)))
    if stance in SURFACES and horizon < size[1]:
        colours, streak_px = SURFACES[stance]
        scene.paste(surface(rng, (size[0], size[1] - horizon), colours, streak_px), (0, horizon))
    if stance == "ground":
        reach = np.array([0.2 * side, 0])
        shadow = Part("#00000070", along(feet - reach, feet + reach, 0.09 * side, LEAF))
        scene = overlaid(scene, blurred(paint([shadow], size), 0.015 * side))
    for _ in range(rng.integers(0, 3)):
        scene = overlaid(scene, blurred(paint(spray(rng, size), size), side * rng.uniform(0.003, 0.015)))
    if stance == "perched":
        scene = overlaid(scene, paint(perch(rng, feet, size), size))
    return scene


def afloat(scene: Image.Image, bird: Image.Image, at: tuple[int, int], waterline: int) -> Image.Image:
    """Lay a bird on water: what is below the waterline is hidden by a faint image of what is above it."""
    seen = bird.crop((0, 0, bird.size[0], waterline))
    mirrored = ImageOps.flip(seen)
    mirrored.putalpha(mirrored.getchannel("A").point(lambda alpha: 0.35 * alpha))
    scene = overlaid(scene, blurred(mirrored, 1.5), (at[0], at[1] + waterline))
    return overlaid(scene, seen, at)


def photographed(scene: Image.Image, rng: Rng) -> Image.Image:
    """Take the picture: shade, exposure, colour cast, focus and noise."""
    size = scene.size
    scene = blurred(scene, float(rng.choice(FOCUS_BLUR_PX, p=(0.4, 0.3, 0.2, 0.1))))
    across, down = np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1])[:, None]
    shade = 1 + rng.uniform(-0.2, 0.2) * across + rng.uniform(-0.2, 0.2) * down
    shade = shade + rng.uniform(0, 0.12) * soft_noise(rng, size, mean_side(size) / 3)
    cast = rng.uniform(0.65, 1.2) * rng.uniform(0.9, 1.1, 3)
    light = 255 * (np.asarray(scene) / 255) ** rng.uniform(0.8, 1.25) * shade[..., None] * cast
    light = light + rng.uniform(0, 9) * rng.standard_normal((size[1], size[0], 3), np.float32)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
