"""Parts, layers and light: what birds and scenery are drawn with.

A part is a smooth outline of one colour. `along`, `disc`, `turned` and `placed` make outlines and move them;
`paint` turns a list of parts into a transparent layer. The other functions change layers and finished
pictures alike. Nothing here knows what is drawn.

After a change here which makes other pictures, raise VERSION in make_sample_birds.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

SUPERSAMPLING = 2  # drawn pixels per picture pixel and axis, reduced for smooth edges

# Outlines to be laid along a line: (share of its length, share of the width to one side).
LEAF = ((0, 0), (0, 0), (0.3, 0.5), (0.7, 0.45), (1, 0), (1, 0), (0.7, -0.45), (0.3, -0.5))
STICK = ((0, 0.5), (0, 0.5), (1, 0.35), (1, 0.35), (1, -0.35), (1, -0.35), (0, -0.5), (0, -0.5))

Rng = np.random.Generator
Size = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """A smooth outline filled with a colour; a mark is kept inside the last part before it which is none."""

    colour: str
    points: np.ndarray
    mark: bool = False


def shape(colour: str, outline: str) -> Part:
    """Read a part from its corners, "x,y x,y ..."; they get round unless they are given twice."""
    return Part(
        colour, np.array([[float(number) for number in corner.split(",")] for corner in outline.split()])
    )


def mark(colour: str, outline: str) -> Part:
    """Read a part like shape does, to be kept inside the part before it."""
    return replace(shape(colour, outline), mark=True)


def smooth(points: np.ndarray) -> np.ndarray:
    """Round the corners of a closed outline; a corner given twice stays sharp."""
    for _ in range(3):
        following = np.roll(points, -1, axis=0)
        cut = (0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following)
        points = np.stack(cut, axis=1).reshape(-1, 2)
    return points


def turned(degrees: float) -> np.ndarray:
    """Return the matrix which turns a bird's x axis upwards by an angle."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, s], [-s, c]])


def placed(parts: Iterable[Part], matrix: np.ndarray, at: ArrayLike = (0, 0)) -> list[Part]:
    """Map parts by a matrix and then shift them."""
    return [replace(part, points=part.points @ matrix.T + np.asarray(at)) for part in parts]


def along(start: ArrayLike, end: ArrayLike, width: float, outline: ArrayLike) -> np.ndarray:
    """Lay an outline, given in shares of length and width, along the line from start to end."""
    origin, shares = np.asarray(start, float), np.asarray(outline, float)
    way = np.asarray(end, float) - origin
    across = np.array([way[1], -way[0]]) * width / np.hypot(*way)
    return np.asarray(origin + shares @ np.stack([way, across]))


def disc(at: ArrayLike, radius: float) -> np.ndarray:
    """Return the outline of a disc."""
    angles = np.arange(8) * math.pi / 4
    return np.asarray(at) + 1.08 * radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def shaded(colour: str, factor: float) -> str:
    """Darken or lighten a colour."""
    return "#" + "".join(f"{min(255, round(part * factor)):02x}" for part in ImageColor.getrgb(colour)[:3])


def paint(parts: Iterable[Part], size: Size) -> Image.Image:
    """Paint parts given in pixels on nothing, with smooth edges."""
    layer = Image.new("RGBA", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
    base, base_at = Image.new("L", (1, 1)), np.zeros(2, int)
    for part in parts:
        outline = smooth(part.points) * SUPERSAMPLING
        at = np.floor(outline.min(axis=0)).astype(int)
        mask = Image.new("L", tuple(np.ceil(outline.max(axis=0)).astype(int) - at + 1))
        ImageDraw.Draw(mask).polygon([tuple(point) for point in outline - at], fill=255)
        if part.mark:
            shift = at - base_at
            mask = ImageChops.multiply(mask, base.crop((*shift, *(shift + mask.size))))
        else:
            base, base_at = mask, at
        layer.paste(part.colour, (int(at[0]), int(at[1])), mask)
    return layer.reduce(SUPERSAMPLING)


def blurred(layer: Image.Image, radius_px: float) -> Image.Image:
    """Put a layer out of focus."""
    return layer.filter(ImageFilter.GaussianBlur(radius_px))


def soft_noise(rng: Rng, size: Size, grain_px: float) -> np.ndarray:
    """Return a smooth random field about 0, height by width, with spots as wide as the grain."""
    cells = [max(2, math.ceil(side / grain_px)) for side in size]
    coarse = Image.fromarray(rng.standard_normal((cells[1], cells[0]), np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))


def with_brightness(image: Image.Image, factor: np.ndarray) -> Image.Image:
    """Multiply the colours of a picture by a field, and keep its alpha channel."""
    pixels = np.asarray(image).astype(np.float32)
    pixels[..., :3] *= factor[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def overlaid(scene: Image.Image, layer: Image.Image, at: tuple[int, int] = (0, 0)) -> Image.Image:
    """Lay a layer, which may reach out of the picture, on a scene."""
    scene = scene.copy()
    scene.paste(layer, at, layer)
    return scene
