import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from rounding import assert_equal_to_rounding

from paddle_wrn.errors import ImageError
from paddle_wrn.photos.splitting import duplicates
from paddle_wrn.photos.splitting.duplicates import (
    Fingerprint,
    describe,
    duplicate_groups,
    fingerprints,
    thumbnail,
)


def draw(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A picture of soft coloured blobs, another one for every seed."""
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize(size, Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def mirror(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def prints(*images: Image.Image) -> list[Fingerprint]:
    return [Fingerprint(f"file {index}", thumbnail(image)) for index, image in enumerate(images)]


COPIES = {
    "JPEG quality 30": lambda image: as_jpeg(image, 30),
    "half the size": lambda image: image.resize((60, 45), Image.Resampling.LANCZOS),
    "three times the size": lambda image: as_jpeg(image.resize((360, 270)), 70),
    "squeezed": lambda image: image.resize((64, 64)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "mirrored": mirror,
    "mirrored, smaller, JPEG quality 50": lambda image: as_jpeg(mirror(image).resize((70, 52)), 50),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found(how: str) -> None:
    for seed in range(20):
        image = draw(seed)
        assert duplicate_groups(prints(draw(1000), image, COPIES[how](image))) == [(1, 2)]


def test_other_changes_are_no_copies() -> None:
    image = draw(0)
    upside_down = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    negative = Image.eval(image, lambda value: 255 - value)
    assert duplicate_groups(prints(image, upside_down, negative)) == []


def test_different_pictures_are_never_grouped() -> None:
    assert duplicate_groups(prints(*(draw(seed) for seed in range(400)))) == []


def test_plain_pictures_are_compared_by_their_bytes_only() -> None:
    black, grey = Image.new("RGB", (40, 30)), Image.new("RGB", (40, 30), (128, 128, 128))
    noise = np.random.default_rng(0).integers(127, 130, (30, 40, 3), dtype=np.uint8)
    photos = prints(black, black, grey, Image.fromarray(noise), Image.fromarray(noise[:, ::-1].copy()))
    assert duplicate_groups(photos) == []
    same = [Fingerprint("one", photos[0].thumbnail), photos[2], Fingerprint("one", photos[1].thumbnail)]
    assert duplicate_groups(same) == [(0, 2)]


def test_groups_are_connected_components() -> None:
    pictures = [np.asarray(draw(seed), np.float32) for seed in (1, 2)]
    steps = [
        Image.fromarray((pictures[0] * (1 - t) + pictures[1] * t).astype(np.uint8)) for t in (0.0, 0.25, 0.42)
    ]
    assert duplicate_groups(prints(steps[0], steps[2])) == []
    assert duplicate_groups(prints(draw(5), *steps, draw(6))) == [(1, 2, 3)]


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [draw(seed) for seed in range(11)]
    photos = prints(*images, *(mirror(images[index]) for index in (7, 0, 3)), as_jpeg(images[7], 60))
    whole = duplicate_groups(photos)
    monkeypatch.setattr(duplicates, "BLOCK", 4)
    assert duplicate_groups(photos) == whole == [(0, 12), (3, 13), (7, 11, 14)]


def test_no_and_one_photo() -> None:
    assert duplicate_groups([]) == []
    assert duplicate_groups(prints(draw(0))) == []


@pytest.mark.numeric
def test_descriptors_have_length_one_and_mirror_by_sign() -> None:
    thumbnails = np.stack([thumbnail(draw(3)), thumbnail(draw(3))[:, ::-1]])
    even, odd = describe(thumbnails)
    squares = np.hstack([even, odd]) ** 2
    sums = 2 * duplicates.THUMBNAIL_SIDE  # a row and a column of pixels behind each number
    assert_equal_to_rounding(squares.sum(1), np.ones(2), terms=sums + squares.shape[1])
    assert_equal_to_rounding(even[0], even[1], terms=sums, scale=1)
    assert_equal_to_rounding(odd[0], -odd[1], terms=sums, scale=1)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (3, 2), (1000, 700)])
def test_any_size(size: tuple[int, int]) -> None:
    assert thumbnail(draw(0, size)).shape == (16, 16, 3)


def test_fingerprints_name_what_cannot_be_read(tmp_path: Path) -> None:
    draw(0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    first, second, third = fingerprints([tmp_path / name for name in ("a.png", "b.png", "c.png")])
    assert isinstance(first, Fingerprint)
    assert len(first.digest) == 64
    assert isinstance(second, ImageError)
    assert "b.png" in str(second)
    assert isinstance(third, ImageError)
    assert "No such file" in str(third)
