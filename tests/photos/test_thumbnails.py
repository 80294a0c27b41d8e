"""Small versions of photos: upright, whole, never enlarged."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.photos.thumbnails import listed_thumbnails, thumbnail


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a photo of 300 x 200 pixels that lies on its side: upright it is 200 x 300."""
    image = Image.new("RGB", (300, 200), (200, 30, 30))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "photo.jpg", exif=exif)
    return tmp_path / "photo.jpg"


@pytest.mark.parametrize(
    ("side", "shape"), [(150, (150, 100, 3)), (300, (300, 200, 3)), (640, (300, 200, 3))]
)
def test_the_longer_side_is_bounded_and_the_photo_upright(
    photo: Path, side: int, shape: tuple[int, int, int]
) -> None:
    small = thumbnail(photo, side)
    assert (small.shape, small.dtype) == (shape, np.uint8)


def test_what_is_no_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(ImageError, match=r"text\.jpg: not an image"):
        thumbnail(tmp_path / "text.jpg", 100)


def test_files_and_rows_of_arrays_come_in_their_order(photo: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    np.save(tmp_path / "images.npy", pixels)

    row, whole = listed_thumbnails([tmp_path / "images.npy/00002", photo], tmp_path / "train.txt", 40)

    np.testing.assert_array_equal(row, pixels[2])
    assert whole.shape == (40, 27, 3)


def test_a_row_that_is_not_there_is_named_by_its_list(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"train\.txt, line 1: .*has rows 0 to 2, not 00003"):
        listed_thumbnails([tmp_path / "images.npy/00003"], tmp_path / "train.txt", 40)
