"""Random changes of training photos: pure functions on batches.

Each takes (N, H, W, 3) uint8 and a generator, and returns a new batch of that type; the same generator
state gives the same batch.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from paddle_wrn.config import AugmentConfig

Images = NDArray[np.uint8]


def augment(images: Images, config: AugmentConfig, rng: Generator) -> Images:
    """Apply what the configuration asks for, in its order."""
    if config.crop_size is not None:
        scale = (config.crop_scale, 1.0)
        images = random_resized_crop(images, rng, config.crop_size, scale, config.crop_ratio)
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
    images: Images, rng: Generator, size: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Images:
    """Cut a random rectangle from each photo and stretch it to a square (bilinear).

    After Szegedy et al., "Going deeper with convolutions", 2015, section 6.

    Args:
        images: the batch.
        rng: source of randomness.
        size: side of the new squares, pixels.
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
    boxes = np.stack([left, top, left + cut_width, top + cut_height], axis=1)
    crops = np.empty((count, size, size, 3), np.uint8)
    for crop, image, box in zip(crops, images, boxes.tolist(), strict=True):
        resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, tuple(box))
        crop[:] = np.asarray(resized)
    return crops


def colour_jitter(images: Images, rng: Generator, strength: float) -> Images:
    """Multiply brightness, contrast and saturation of each photo by factors from 1 - s to 1 + s."""
    factors = rng.uniform(1 - strength, 1 + strength, (3, len(images), 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = factors
    pixels = images.astype(np.float32)
    grey = pixels @ np.full((3, 1), 1 / 3, np.float32)  # (N, H, W, 1)
    mean = grey.mean((1, 2, 3), keepdims=True)
    # The three changes in a row are one linear map of pixel, its grey and the photo's mean.
    pixels *= brightness * contrast * saturation
    pixels += brightness * contrast * (1 - saturation) * grey + brightness * (1 - contrast) * mean
    return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)
