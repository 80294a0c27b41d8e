"""A map laid on a photo: where it lies, and how it looks."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from small_classifiers import noise, small

from paddle_wrn.answering.explanations import grad_cam, overlay
from paddle_wrn.photos.preprocessing import photo_box, resize_and_pad


@pytest.mark.parametrize("sides", [(300, 200), (120, 213), (64, 64), (400, 3)])
def test_an_overlay_lies_on_the_photo_as_the_map_on_its_square(sides: tuple[int, int]) -> None:
    width, height = sides
    heat = np.zeros((60, 60), np.float32)
    left, _, right, _ = photo_box(sides, 60)
    heat[:, : (left + right) // 2] = 1

    laid = overlay(np.full((height, width, 3), 128, np.uint8), heat)

    assert (laid.shape, laid.dtype) == ((height, width, 3), np.uint8)
    yellow = laid[..., 0].astype(int) - laid[..., 2] > 60
    assert yellow[:, : width * 9 // 20].all()
    assert not yellow[:, width * 11 // 20 :].any()


def test_an_overlay_of_a_photo_is_that_of_its_square_without_the_padding() -> None:
    photo, heat = noise(1, 60)[0, :40], np.random.default_rng(0).random((60, 60), np.float32)
    square = np.asarray(resize_and_pad(Image.fromarray(photo), 60))

    np.testing.assert_array_equal(overlay(photo, heat), overlay(square, heat)[10:50])


def test_a_box_is_where_the_photo_lies_in_its_square() -> None:
    for sides in [(300, 200), (120, 213), (64, 64), (400, 3), (7, 5), (1, 1)]:
        square = np.asarray(resize_and_pad(Image.new("RGB", sides, "white"), 60))
        left, top, right, bottom = photo_box(sides, 60)
        expected = np.zeros((60, 60), bool)
        expected[top:bottom, left:right] = True
        np.testing.assert_array_equal(square.min(2) == 255, expected)


def test_the_photo_shows_through_and_more_heat_is_brighter() -> None:
    ramp = np.tile(np.arange(0, 250, 10, np.uint8)[:, None, None], (1, 25, 3))
    heat = np.tile(np.linspace(0, 1, 25, dtype=np.float32), (25, 1))

    laid = overlay(ramp, heat).astype(float).mean(2)

    assert (np.diff(laid, axis=0) > 2).all()
    assert (np.diff(laid[12:13, 2:], axis=1) >= 0).mean() > 0.5
    assert laid[0, -1] > laid[0, 0] + 50


def test_colours_of_a_photo_are_not_taken_for_the_maps() -> None:
    grey = overlay(np.full((4, 4, 3), 76, np.uint8), np.zeros((4, 4), np.float32))
    red = overlay(np.full((4, 4, 3), (255, 0, 0), np.uint8), np.zeros((4, 4), np.float32))

    np.testing.assert_array_equal(grey, red)


def test_a_map_of_a_mirrored_contract_fits_a_photo_of_any_shape() -> None:
    mirrored = small(mirror=True)
    one = replace(mirrored, preprocessing=mirrored.preprocessing.model_copy(update={"mirror": False}))
    image = noise(1, 24)

    maps = [grad_cam(classifier, image, [0])[0] for classifier in (mirrored, one)]

    assert np.abs(maps[0] - maps[1]).max() > 0.01
    assert [overlay(noise(1, 24)[0, :12], heat).shape for heat in maps] == [(12, 24, 3)] * 2
