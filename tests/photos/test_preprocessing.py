"""Tests of the way from a photo to the network's tensor."""

import ast
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import EpsImagePlugin, Image
from pydantic import ValidationError
from rounding import assert_equal_to_rounding

from paddle_wrn.config import InputConfig
from paddle_wrn.errors import ImageError
from paddle_wrn.photos.lists import Classes
from paddle_wrn.photos.preprocessing import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    Preprocessing,
    read_image,
    read_square,
    resize_and_pad,
)

Pixels = NDArray[np.uint8]
CONTRACT = Preprocessing(
    size=32,
    mean=(0.1, 0.5, 0.9),
    std=(0.2, 0.25, 1.5),
    classes=("Black Skimmer", "Cockatoo"),
    display_names=("黑剪嘴鸥", "Cockatoo"),
)


def test_every_setting_of_the_input_is_in_the_contract() -> None:
    classes = Classes(("a", "b"), ("甲", "b"))
    settings = InputConfig(size=40, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), mirror=True, draft=False)
    made = Preprocessing.from_settings(settings, classes, lambda: pytest.fail("mean and std are given"))
    assert made.model_dump() == settings.model_dump(exclude={"memory_mb"}) | {
        "classes": classes.names,
        "display_names": classes.display_names,
    }


def test_mean_and_std_are_measured_when_they_are_left_open() -> None:
    classes = Classes(("a", "b"), ("a", "b"))
    made = Preprocessing.from_settings(InputConfig(), classes, lambda: ((0.1, 0.2, 0.3), (1, 2, 3)))
    assert (made.mean, made.std) == ((0.1, 0.2, 0.3), (1, 2, 3))


def test_only_one_function_makes_a_contract_of_settings() -> None:
    package = Path(__file__).parents[2] / "paddle_wrn"
    calls = [
        file.name
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Preprocessing"
    ]
    assert calls == []  # `from_settings` itself calls its class


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def pixels_of(path: Path) -> Pixels:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


# --- geometry


def tutorial_loader(path: Path) -> Pixels:
    """Load a photo as the bird tutorial does, line by line."""
    img = Image.open(path).convert("RGB")
    w, h = img.size
    scale = 32 / max(w, h)
    new_w, new_h = int(w * scale), int(h * scale)
    img = img.resize((new_w, new_h))
    canvas = Image.new("RGB", (32, 32), (0, 0, 0))
    canvas.paste(img, ((32 - new_w) // 2, (32 - new_h) // 2))
    return np.array(canvas)


def test_pixels_are_the_tutorials_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = [(49, 49), (98, 31), (32, 32), (31, 33), *rng.integers(8, 200, (80, 2)).tolist()]

    for number, (width, height) in enumerate(sizes):
        path = tmp_path / f"{number}.{'jpg' if number % 2 else 'png'}"
        Image.fromarray(noise(height, width, seed=number)).save(path)
        assert np.array_equal(CONTRACT.load(path), tutorial_loader(path)), (width, height)


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns"),
    [
        (64, 32, slice(8, 24), slice(0, 32)),  # wide
        (32, 64, slice(0, 32), slice(8, 24)),  # tall
        (100, 75, slice(4, 28), slice(0, 32)),
        (90, 80, slice(2, 30), slice(0, 32)),  # 28.4 rows are 28
        (30, 32, slice(0, 32), slice(1, 31)),
        (31, 32, slice(0, 32), slice(0, 31)),  # an odd border is wider behind
        (1, 1, slice(0, 32), slice(0, 32)),
        (7, 7, slice(0, 32), slice(0, 32)),
        (4000, 1, slice(15, 16), slice(0, 32)),
        (1, 4000, slice(0, 32), slice(15, 16)),
    ],
)
def test_borders_are_exactly_black_and_nothing_else_is(
    width: int, height: int, rows: slice, columns: slice
) -> None:
    square = np.asarray(resize_and_pad(Image.new("RGB", (width, height), (200, 10, 255)), 32))

    expected = np.zeros((32, 32, 3), np.uint8)
    expected[rows, columns] = 200, 10, 255
    assert np.array_equal(square, expected)


def test_a_photo_of_the_right_size_is_left_alone() -> None:
    pixels = noise(32, 32)

    assert np.array_equal(np.asarray(resize_and_pad(Image.fromarray(pixels), 32)), pixels)


@pytest.mark.parametrize("size", [1, 5, 64, 224])
def test_any_size_of_the_square(size: int) -> None:
    square = np.asarray(resize_and_pad(Image.new("RGB", (90, 60), "white"), size))

    assert square.shape == (size, size, 3)
    assert (square == 255).all(2).sum() == size * max(1, size * 60 // 90)


# --- modes of pictures


def saved(tmp_path: Path, image: Image.Image, name: str = "photo.png", **options: object) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_grey_gets_three_equal_channels(tmp_path: Path) -> None:
    grey = noise(5, 7)[:, :, 0]

    assert np.array_equal(pixels_of(saved(tmp_path, Image.fromarray(grey))), np.stack([grey] * 3, 2))


def test_black_and_white_of_one_bit(tmp_path: Path) -> None:
    white = noise(5, 7)[:, :, 0] > 127

    found = pixels_of(saved(tmp_path, Image.fromarray(white)))

    assert np.array_equal(found, np.stack([white * np.uint8(255)] * 3, 2))


PALETTE = [(255, 0, 0), (0, 255, 0), (10, 20, 30)]
INDICES = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


def palette_image() -> Image.Image:
    image = Image.fromarray(INDICES)
    image.putpalette([value for colour in PALETTE for value in colour])
    return image


@pytest.mark.parametrize("name", ["photo.png", "photo.gif", "photo.bmp", "photo.tif"])
def test_a_palette_becomes_its_colours(tmp_path: Path, name: str) -> None:
    found = pixels_of(saved(tmp_path, palette_image(), name))

    assert np.array_equal(found, np.array(PALETTE, np.uint8)[INDICES])


@pytest.mark.parametrize("name", ["photo.png", "photo.gif"])
def test_what_is_transparent_in_a_palette_becomes_black(tmp_path: Path, name: str) -> None:
    found = pixels_of(saved(tmp_path, palette_image(), name, transparency=1))

    assert np.array_equal(found, np.array([PALETTE[0], (0, 0, 0), PALETTE[2]], np.uint8)[INDICES])


def test_what_is_transparent_in_rgba_becomes_black(tmp_path: Path) -> None:
    rgba = noise(6, 6, 4)
    rgba[:3, :, 3], rgba[3:, :, 3] = 0, 255

    found = pixels_of(saved(tmp_path, Image.fromarray(rgba)))

    assert not found[:3].any()
    assert np.array_equal(found[3:], rgba[3:, :, :3])


def test_half_transparent_is_half_as_bright(tmp_path: Path) -> None:
    found = pixels_of(saved(tmp_path, Image.new("RGBA", (2, 2), (200, 100, 50, 128))))

    assert np.abs(found[0, 0].astype(int) - [100, 50, 25]).max() <= 1


def test_what_is_transparent_in_grey_becomes_black(tmp_path: Path) -> None:
    grey_alpha = noise(6, 6, 2)
    grey_alpha[:3, :, 1], grey_alpha[3:, :, 1] = 0, 255

    found = pixels_of(saved(tmp_path, Image.fromarray(grey_alpha, "LA")))

    assert not found[:3].any()
    assert np.array_equal(found[3:], np.repeat(grey_alpha[3:, :, :1], 3, 2))


def test_a_transparent_colour_of_rgb_becomes_black(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 1), (9, 8, 7))
    image.putpixel((2, 0), (255, 0, 255))

    found = pixels_of(saved(tmp_path, image, transparency=(255, 0, 255)))

    assert found[0].tolist() == [[9, 8, 7], [9, 8, 7], [0, 0, 0], [9, 8, 7]]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("CMYK", (3, 1))
    for x, ink in enumerate([(0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 0, 255)]):
        image.putpixel((x, 0), ink)

    found = pixels_of(saved(tmp_path, image, "photo.tif"))

    assert found[0].tolist() == [[255, 255, 255], [0, 255, 255], [0, 0, 0]]


def test_a_cmyk_jpeg_is_read(tmp_path: Path) -> None:
    found = pixels_of(saved(tmp_path, Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "photo.jpg"))

    assert np.abs(found.astype(int) - [0, 255, 255]).max() < 5


def test_sixteen_bit_grey_is_scaled_to_eight(tmp_path: Path) -> None:
    grey = np.array([[0, 255, 256, 0x1234, 0x80FF, 0xFFFF]], np.uint16)

    found = pixels_of(saved(tmp_path, Image.fromarray(grey)))

    assert found[0, :, 0].tolist() == [0, 0, 1, 0x12, 0x80, 0xFF]
    assert (found == found[:, :, :1]).all()


@pytest.mark.parametrize("name", ["photo.gif", "photo.webp", "photo.png"])
def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
    with Image.open(path) as animation:
        assert animation.n_frames == 3

    assert np.abs(pixels_of(path).astype(int) - [255, 0, 0]).max() < 5


STORED_AS: dict[int, Callable[[Pixels], Pixels]] = {  # EXIF orientation: upright picture -> what is stored
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_photo_taken_sideways_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    upright = noise(4, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED_AS[orientation](upright)))

    assert np.array_equal(pixels_of(saved(tmp_path, stored, exif=exif)), upright)


def test_a_sideways_jpeg_is_turned_upright(tmp_path: Path) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, 16:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6

    found = pixels_of(saved(tmp_path, Image.fromarray(np.rot90(upright).copy()), "photo.jpg", exif=exif))

    assert np.abs(found.astype(int) - upright).max() < 5


COLOUR_SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.SAVE}


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES & COLOUR_SUFFIXES - {".pbm", ".pgm"}))
def test_every_suffix_that_is_searched_for_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, Image.new("RGB", (8, 8), "white"), f"photo{suffix}")

    assert (pixels_of(path) > 250).all()


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    pixels = noise(4, 4)
    saved(tmp_path, Image.fromarray(pixels)).rename(tmp_path / "photo.jpg")

    assert np.array_equal(pixels_of(tmp_path / "photo.jpg"), pixels)


def test_a_path_may_be_chinese_with_blanks_or_a_text(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (4, 4), "white"), "蕉林莺 1.png")

    assert pixels_of(path).all()
    assert np.asarray(read_image(str(path))).all()


# --- drafts


def leaves(width: int, height: int) -> Image.Image:
    """Draw soft shapes of several sizes; no two corners look alike."""
    rng = np.random.default_rng(0)
    coarse, fine = (rng.integers(0, 256, (side, side, 3), np.uint8) for side in (4, 16))
    layers = (Image.fromarray(pixels).resize((width, height)) for pixels in (coarse, fine))
    return Image.blend(*layers, 0.3)


def difference(path: Path, size: int) -> float:
    """Return the mean absolute difference of a draft from the whole photo, grey levels."""
    draft, whole = (np.asarray(read_square(path, size, draft), int) for draft in (True, False))
    assert np.array_equal(whole, np.asarray(resize_and_pad(read_image(path), size)))
    assert np.array_equal((draft > 12).any(2), (whole > 12).any(2))  # the borders are the same
    return float(np.abs(draft - whole).mean())


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (501, 498), (1023, 77), (333, 332)])
def test_a_draft_is_nearly_the_photo(tmp_path: Path, width: int, height: int, mode: str) -> None:
    path = saved(tmp_path, leaves(width, height).convert(mode), "photo.jpg", quality=90)

    assert 0 < difference(path, 32) < 2


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize(("width", "height"), [(400, 293), (257, 255)])
def test_a_draft_of_a_photo_taken_sideways_lies_where_the_photo_would(
    tmp_path: Path, width: int, height: int, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = STORED_AS[orientation](np.asarray(leaves(width, height)))
    path = saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "photo.jpg", exif=exif)

    assert 0 < difference(path, 30) < 2


def test_nothing_nearer_than_twice_the_square_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, leaves(512, 384), "photo.jpg")
    seen = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda image, *args: seen.append(image.width) or resize(image, *args)
    )

    for size in (16, 32, 33, 64, 65, 128, 129, 512, 600):
        read_square(path, size, draft=True)

    assert seen == [64, 64, 128, 128, 256, 256, 512, 512, 512]


@pytest.mark.parametrize("name", ["photo.png", "photo.tif", "photo.webp", "photo.bmp"])
def test_only_jpeg_has_drafts(tmp_path: Path, name: str) -> None:
    assert difference(saved(tmp_path, leaves(200, 150), name), 16) == 0


def test_a_small_photo_is_read_whole_without_being_asked(tmp_path: Path) -> None:
    assert difference(saved(tmp_path, leaves(63, 50), "photo.jpg"), 32) == 0


def test_a_draft_is_made_only_where_the_contract_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path, leaves(300, 200), "photo.jpg")
    drafts = CONTRACT.model_copy(update={"draft": True})

    assert np.array_equal(CONTRACT.load(path), np.asarray(read_square(path, 32)))
    assert np.array_equal(drafts.load(path), np.asarray(read_square(path, 32, draft=True)))
    assert not np.array_equal(CONTRACT.load(path), drafts.load(path))


def test_a_draft_of_a_photo_cut_short_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, leaves(300, 200), "photo.jpg")
    content = path.read_bytes()

    for length in (1, 200, len(content) // 2, len(content) - 200):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match=rf"^{path}: "):
            read_square(path, 32, draft=True)


# --- files that are no photos


def refused(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_a_jpeg_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    content = saved(tmp_path, Image.fromarray(noise(40, 50)), "whole.jpg").read_bytes()
    path = tmp_path / "short.jpg"

    for length in [*range(1, len(content), 97), len(content) - 2]:
        path.write_bytes(content[:length])
        assert "a photo (JPEG, PNG, ...) is needed" in refused(path) or "cannot be decoded" in refused(path)


def test_a_png_cut_short_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(noise(40, 50)))
    path.write_bytes(path.read_bytes()[:-100])

    assert "cannot be decoded" in refused(path)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", pixels)
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "an empty file (0 bytes)"),
        ("text.jpg", b"this is no picture\n" * 9, "not an image this program can read"),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "must be converted to JPEG"),
        ("huge.png", png_that_claims(60_000, 60_000), "pixels"),
        ("max.png", png_that_claims(2**31 - 1, 2**31 - 1), "pixels"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image this program can read"),
        ("book.pdf", b"%PDF-1.4\n%%EOF\n", "not an image this program can read"),
    ],
)
def test_what_is_no_photo_is_named_with_its_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)

    assert message in refused(tmp_path / name)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest undoes our own filter
def test_a_picture_beyond_the_limit_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png_that_claims(11_000, 10_000))
    assert MAX_PIXELS < 11_000 * 10_000

    assert "11000 x 10000 pixels; a photo may have up to 100 million" in refused(path)


@pytest.mark.parametrize("name", ["drawing.eps", "photo.jpg"])
def test_postscript_is_refused_without_running_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = saved(tmp_path, Image.new("RGB", (8, 8)), "drawing.eps").rename(tmp_path / name)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("ran Ghostscript"))
    with Image.open(path) as image:
        assert image.format == "EPS"  # Pillow itself would take it

    assert "not an image this program can read" in refused(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "no such file; check the path" in refused(tmp_path / "none.jpg")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be decoded" in refused(tmp_path)


# --- the contract


@pytest.mark.numeric
def test_normalise_is_what_float64_says() -> None:
    images = np.stack([noise(32, 32, seed=i) for i in range(3)])

    found = CONTRACT.normalise(images)

    expected = (images.astype(np.float64) / 255 - CONTRACT.mean) / CONTRACT.std
    assert found.shape == (3, 3, 32, 32)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert_equal_to_rounding(found, expected.transpose(0, 3, 1, 2), terms=4)


def test_normalise_leaves_its_input_alone() -> None:
    images = noise(4, 4)[None]
    before = images.copy()

    CONTRACT.normalise(images)

    assert np.array_equal(images, before)


def test_half_and_half_is_the_tutorials_range() -> None:
    contract = CONTRACT.model_copy(update={"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
    images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(3, 3)

    assert contract.normalise(images)[:, 0, 0, 0].tolist() == [-1.0, 1.0]


def test_load_is_reading_and_padding(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(noise(50, 70)))

    square = CONTRACT.load(path)

    assert square.dtype == np.uint8
    assert np.array_equal(square, np.asarray(resize_and_pad(read_image(path), 32)))


def test_the_contract_survives_json() -> None:
    assert Preprocessing.model_validate_json(CONTRACT.model_dump_json()) == CONTRACT
    assert Preprocessing.model_validate(CONTRACT.model_dump(mode="json")) == CONTRACT


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": 32.5},
        {"size": None},
        {"std": (0.2, 0.0, 0.2)},
        {"std": (0.2, float("nan"), 0.2)},
        {"std": (0.2, float("inf"), 0.2)},
        {"mean": (0.1, float("nan"), 0.2)},
        {"mean": (0.1, 0.2)},
        {"classes": ("Cockatoo",)},
        {"display_names": ()},
        {"mirror": "left"},
        {"draft": "half"},
        {"colour": "red"},
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change)).replace("_", ".")):
        Preprocessing.model_validate(CONTRACT.model_dump() | change)


@pytest.mark.parametrize("field", sorted(Preprocessing.model_fields.keys() - {"mirror", "draft"}))
def test_a_contract_with_a_hole_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Preprocessing.model_validate({k: v for k, v in CONTRACT.model_dump().items() if k != field})


def test_a_contract_that_says_nothing_of_mirror_images_wants_none() -> None:
    content = CONTRACT.model_dump()
    del content["mirror"]

    assert Preprocessing.model_validate(content).mirror is False
    assert Preprocessing.model_validate(content | {"mirror": True}).mirror is True


def test_a_contract_that_says_nothing_of_drafts_wants_none() -> None:
    content = CONTRACT.model_dump()
    del content["draft"]

    assert Preprocessing.model_validate(content).draft is False


def test_the_contract_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CONTRACT.size = 64  # type: ignore[misc]
