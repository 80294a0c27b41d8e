"""Tests of the random changes of training photos."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from paddle_wrn.config import AugmentConfig
from paddle_wrn.photos.augmentation import (
    augment,
    colour_jitter,
    random_flip,
    random_resized_crop,
    random_shift,
)

Images = NDArray[np.uint8]
Change = Callable[[Images, Generator], Images]

NOTHING = {"crop_size": None, "shift": 0, "flip_horizontal": 0, "flip_vertical": 0, "colour": 0}
CHANGES: dict[str, Change] = {
    "flip": lambda images, rng: random_flip(images, rng, 0.5, axis=2),
    "upside_down": lambda images, rng: random_flip(images, rng, 0.5, axis=1),
    "shift": lambda images, rng: random_shift(images, rng, 3, "black"),
    "shift_reflect": lambda images, rng: random_shift(images, rng, 3, "reflect"),
    "crop": lambda images, rng: random_resized_crop(images, rng, 12, (0.3, 1), (0.75, 4 / 3)),
    "colour": lambda images, rng: colour_jitter(images, rng, 0.4),
    "default": lambda images, rng: augment(images, AugmentConfig(crop_size=12), rng),
}


def noise(count: int = 16, side: int = 12, seed: int = 0) -> Images:
    return default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_a_function_of_its_generator_and_spares_its_input(change: Change) -> None:
    images = noise()
    before = images.copy()

    first, again, other = (change(images, default_rng(seed)) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == images.shape
    assert first.dtype == np.uint8
    assert np.array_equal(images, before)
    assert not np.shares_memory(first, images)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_photos_of_a_batch_are_changed_differently(change: Change) -> None:
    same = np.repeat(noise(1), 40, axis=0)

    assert len(np.unique(change(same, default_rng(0)), axis=0)) > 1


# --- flips


@pytest.mark.parametrize(("axis", "mirrored"), [(2, np.s_[:, :, ::-1]), (1, np.s_[:, ::-1])])
def test_a_certain_flip_mirrors_every_photo(axis: int, mirrored: tuple[slice, ...]) -> None:
    images = noise()

    assert np.array_equal(random_flip(images, default_rng(0), 1.0, axis), images[mirrored])
    assert np.array_equal(random_flip(images, default_rng(0), 0.0, axis), images)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_flips_are_as_frequent_as_asked(probability: float) -> None:
    images = np.zeros((4000, 1, 2, 3), np.uint8)
    images[:, :, 1] = 1

    share = random_flip(images, default_rng(0), probability, 2)[:, 0, 0, 0].mean()

    assert share == pytest.approx(probability, abs=5 * np.sqrt(probability * (1 - probability) / 4000))


# --- shifts


def places_of_marks(images: Images) -> set[tuple[int, int]]:
    return {tuple(place) for image in images for place in np.argwhere(image[:, :, 0]).tolist()}


def test_a_marked_pixel_goes_everywhere_within_reach_and_nowhere_else() -> None:
    images = np.zeros((2000, 9, 9, 3), np.uint8)
    images[:, 4, 5] = 255

    shifted = random_shift(images, default_rng(0), 2, "black")

    assert places_of_marks(shifted) == {(row, column) for row in range(2, 7) for column in range(3, 8)}
    assert (shifted.sum((1, 2, 3)) == 3 * 255).all()


def test_what_comes_in_is_black() -> None:
    white = np.full((300, 6, 8, 3), 255, np.uint8)

    shifted = random_shift(white, default_rng(0), 2, "black")

    rows, columns = (shifted[..., 0].any(axis).sum(1) for axis in (2, 1))
    assert set(rows.tolist()) == {4, 5, 6}
    assert set(columns.tolist()) == {6, 7, 8}
    assert ((shifted == 255).sum((1, 2, 3)) == rows * columns * 3).all()


def test_what_comes_in_by_reflection_is_the_mirrored_picture() -> None:
    images = np.repeat(noise(1, 6), 400, axis=0)
    padded = np.pad(images[0], ((2, 2), (2, 2), (0, 0)), mode="reflect")
    windows = {padded[i : i + 6, j : j + 6].tobytes() for i in range(5) for j in range(5)}

    shifted = random_shift(images, default_rng(0), 2, "reflect")

    assert {image.tobytes() for image in shifted} == windows


# --- crops


def test_the_whole_picture_at_its_own_size_is_left_alone() -> None:
    images = noise()

    assert np.array_equal(random_resized_crop(images, default_rng(0), 12, (1, 1), (1, 1)), images)


@pytest.mark.parametrize("size", [1, 7, 24])
def test_crops_have_the_size_asked_for(size: int) -> None:
    grey = np.full((3, 12, 12, 3), 77, np.uint8)

    crops = random_resized_crop(grey, default_rng(0), size, (0.1, 1), (0.5, 2))

    assert crops.shape == (3, size, size, 3)
    assert (crops == 77).all()


def ramp() -> Images:
    """Return photos of 64 x 64 whose red is 3 times the column and whose green is 3 times the row."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :, 0] = 3 * np.arange(64)
    image[:, :, 1] = 3 * np.arange(64)[:, None]
    return np.repeat(image[None], 200, axis=0)


@pytest.mark.parametrize(
    ("scale", "ratio", "width", "height"),
    [
        (0.25, 1.0, 32, 32),
        (0.5, 2.0, 64, 32),
        (0.5, 0.5, 32, 64),
        (0.125, 2.0, 32, 16),
        (1.0, 2.0, 64, 45.25),  # what is wider than the photo is cut off
    ],
)
def test_a_crop_keeps_its_share_of_the_area_and_its_ratio(
    scale: float, ratio: float, width: float, height: float
) -> None:
    crops = random_resized_crop(ramp(), default_rng(0), 32, (scale, scale), (ratio, ratio)).astype(float)

    # from the centre of the first pixel to the centre of the last: 31 / 32 of the rectangle
    inner = slice(2, 30)  # beside the border of the photo, there is nothing to interpolate with
    red = np.diff(crops[:, 0, inner, 0]).mean(1) / 3 * 32
    green = np.diff(crops[:, inner, 0, 1], axis=1).mean(1) / 3 * 32
    assert red == pytest.approx(np.full(200, width), abs=0.9)
    assert green == pytest.approx(np.full(200, height), abs=0.9)


def test_crops_come_from_everywhere() -> None:
    crops = random_resized_crop(ramp(), default_rng(0), 32, (0.25, 0.25), (1, 1))

    for channel in (0, 1):  # the upper left corner lies between 0 and 32 pixels
        corner = crops[:, 0, 0, channel] / 3
        assert corner.min() < 2
        assert corner.max() > 30
        assert corner.mean() == pytest.approx(16, abs=3)


def test_shares_and_ratios_fill_their_ranges() -> None:
    crops = random_resized_crop(ramp(), default_rng(0), 64, (0.2, 0.6), (0.8, 1.25)).astype(float)

    width = np.diff(crops[:, 0, 4:60, 0]).mean(1) / 3 * 64
    height = np.diff(crops[:, 4:60, 0, 1], axis=1).mean(1) / 3 * 64
    share, ratio = width * height / 64**2, width / height
    assert (share.min(), share.max()) == (pytest.approx(0.2, abs=0.03), pytest.approx(0.6, abs=0.03))
    assert (ratio.min(), ratio.max()) == (pytest.approx(0.8, abs=0.05), pytest.approx(1.25, abs=0.07))


def test_tall_crops_are_as_frequent_as_wide_ones() -> None:
    crops = random_resized_crop(ramp(), default_rng(0), 32, (0.1, 0.1), (0.25, 4)).astype(float)

    width = np.diff(crops[:, 0, 2:30, 0]).mean(1)
    height = np.diff(crops[:, 2:30, 0, 1], axis=1).mean(1)
    assert (width > height).mean() == pytest.approx(0.5, abs=0.12)


# --- colours


def test_no_strength_changes_no_colour() -> None:
    images = noise()

    assert np.array_equal(colour_jitter(images, default_rng(0), 0.0), images)


def test_brightness_contrast_and_saturation_stay_within_their_range() -> None:
    images = (noise(200) // 3 + 60).astype(np.uint8)  # 60 to 145: nothing is clipped

    found = colour_jitter(images, default_rng(0), 0.2).astype(float)

    # out = b c s * pixel + b c (1 - s) * its grey + b (1 - c) * mean grey of the photo
    factors = []
    for image, changed in zip(images.astype(float), found, strict=True):
        grey = np.repeat(image.mean(2, keepdims=True), 3, 2)
        terms = np.stack([image.ravel(), grey.ravel(), np.full(image.size, image.mean())], 1)
        fit, _, _, _ = np.linalg.lstsq(terms, changed.ravel() + 0.5, rcond=None)
        assert np.abs(terms @ fit - changed.ravel() - 0.5).max() < 1
        brightness = fit.sum()
        contrast = (fit[0] + fit[1]) / brightness
        factors.append((brightness, contrast, fit[0] / brightness / contrast))
    low, high = np.min(factors, 0), np.max(factors, 0)
    assert low == pytest.approx([0.8, 0.8, 0.8], abs=0.02)
    assert high == pytest.approx([1.2, 1.2, 1.2], abs=0.02)
    assert np.abs(np.corrcoef(np.transpose(factors))[np.triu_indices(3, 1)]).max() < 0.3


def test_colours_are_clipped_and_do_not_wrap_around() -> None:
    images = np.zeros((50, 4, 4, 3), np.uint8)
    images[:, 2:] = 255

    found = colour_jitter(images, default_rng(0), 0.9)

    assert (found[:, 2:].astype(int) >= found[:, :2].astype(int)).all()
    assert found.max() == 255
    assert found.min() == 0


# --- what the configuration asks for


def test_a_configuration_without_changes_changes_nothing() -> None:
    images = noise()

    assert np.array_equal(augment(images, AugmentConfig(**NOTHING), default_rng(0)), images)


def test_the_tutorials_flips_go_both_ways() -> None:
    image = noise(1)
    images = np.repeat(image, 100, axis=0)
    config = AugmentConfig(**NOTHING | {"flip_horizontal": 0.5, "flip_vertical": 0.5})

    found = {changed.tobytes() for changed in augment(images, config, default_rng(0))}

    ways = [image, image[:, ::-1], image[:, :, ::-1], image[:, ::-1, ::-1]]
    assert found == {way.tobytes() for way in ways}


@pytest.mark.parametrize(
    ("settings", "same_as"),
    [
        (
            {"crop_size": 8, "crop_scale": 0.3},
            lambda i, rng: random_resized_crop(i, rng, 8, (0.3, 1), (0.75, 4 / 3)),
        ),
        ({"shift": 2}, lambda i, rng: random_shift(i, rng, 2, "black")),
        ({"shift": 2, "shift_fill": "reflect"}, lambda i, rng: random_shift(i, rng, 2, "reflect")),
        ({"flip_horizontal": 0.4}, lambda i, rng: random_flip(i, rng, 0.4, 2)),
        ({"flip_vertical": 0.4}, lambda i, rng: random_flip(i, rng, 0.4, 1)),
        ({"colour": 0.4}, lambda i, rng: colour_jitter(i, rng, 0.4)),
    ],
)
def test_each_setting_reaches_its_change(settings: dict[str, object], same_as: Change) -> None:
    found = augment(noise(), AugmentConfig(**NOTHING | settings), default_rng(3))

    assert np.array_equal(found, same_as(noise(), default_rng(3)))
