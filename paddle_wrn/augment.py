"""Random changes of training photos: pure functions on batches.

Each takes (N, H, W, 3) uint8 and a generator, and returns a new batch of the same shape and type; the same
generator state gives the same batch.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from paddle_wrn.config import AugmentConfig

Images = NDArray[np.uint8]


def augment(images: Images, config: AugmentConfig, rng: Generator) -> Images:
    """Apply what the configuration asks for, in its order."""
    if config.crop_scale < 1:
        images = random_resized_crop(images, rng, (config.crop_scale, 1.0), config.crop_ratio)
    if config.shift:
        images = random_shift(images, rng, config.shift, config.shift_fill)
    if config.flip_horizontal:
        images = random_flip(images, rng, config.flip_horizontal, axis=2)
    if config.flip_vertical:
        images = random_flip(images, rng, config.flip_vertical, axis=1)
    if config.colour:
        images = colour_jitter(images, rng, config.colour)
    return images


def random_flip(images: Images, rng: Generator, probability: float, axis: int) -> Images:
    """Mirror some photos along an axis: 2 swaps left and right, 1 top and bottom."""
    chosen = rng.random(len(images)) < probability
    flipped = images.copy()
    flipped[chosen] = np.flip(images[chosen], axis)
    return flipped


def random_shift(images: Images, rng: Generator, pixels: int, fill: str) -> Images:
    """Pad every side and cut a square of the old size at a random place.

    Args:
        images: the batch.
        rng: source of randomness.
        pixels: greatest shift, each way.
        fill: `black`, or `reflect` for the mirrored picture.
    """
    border = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = np.pad(images, border, mode="reflect" if fill == "reflect" else "constant")
    count, height, width, _ = images.shape
    top, left = rng.integers(0, 2 * pixels + 1, (2, count))
    rows = top[:, None, None] + np.arange(height)[:, None]
    columns = left[:, None, None] + np.arange(width)
    return padded[np.arange(count)[:, None, None], rows, columns]


def random_resized_crop(
    images: Images, rng: Generator, scale: tuple[float, float], ratio: tuple[float, float]
) -> Images:
    """Cut a random rectangle from each photo and stretch it back to the full square (nearest pixel).

    After Szegedy et al., "Going deeper with convolutions", 2015, section 6.

    Args:
        images: the batch.
        rng: source of randomness.
        scale: smallest and largest share of the area that is kept.
        ratio: smallest and largest width / height of the rectangle; drawn uniformly in the logarithm.
    """
    count, height, width, _ = images.shape
    area = rng.uniform(*scale, count) * height * width
    aspect = np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1]), count))
    cut_width = np.minimum(np.sqrt(area * aspect), width)
    cut_height = np.minimum(np.sqrt(area / aspect), height)
    left = rng.random(count) * (width - cut_width)
    top = rng.random(count) * (height - cut_height)
    rows = top[:, None] + (np.arange(height) + 0.5) / height * cut_height[:, None]
    columns = left[:, None] + (np.arange(width) + 0.5) / width * cut_width[:, None]
    return images[
        np.arange(count)[:, None, None],
        np.minimum(rows.astype(np.intp), height - 1)[:, :, None],
        np.minimum(columns.astype(np.intp), width - 1)[:, None, :],
    ]


def colour_jitter(images: Images, rng: Generator, strength: float) -> Images:
    """Multiply brightness, contrast and saturation of each photo by factors from 1 - s to 1 + s."""
    brightness, contrast, saturation = rng.uniform(
        1 - strength, 1 + strength, (3, len(images), 1, 1, 1)
    ).astype(np.float32)
    pixels = images * brightness
    pixels = (pixels - pixels.mean((1, 2, 3), keepdims=True)) * contrast + pixels.mean(
        (1, 2, 3), keepdims=True
    )
    grey = pixels.mean(3, keepdims=True)
    pixels = (pixels - grey) * saturation + grey
    return np.clip(pixels, 0, 255).astype(np.uint8)
