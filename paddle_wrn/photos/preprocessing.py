"""A photo -> the tensor a network sees: the preprocessing contract.

Size, padding, mean, standard deviation and class names are fixed once, when training starts, in one
`Preprocessing` object. It is stored in every checkpoint and used by every later step; no second place
knows a size or a mean.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, model_validator

from paddle_wrn.config import InputConfig, Rgb
from paddle_wrn.errors import ImageError
from paddle_wrn.photos.lists import Classes

# Raster formats only: Pillow would hand EPS and the like to an outside program.
Image.init()  # not every Pillow has every format
_RASTER = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF")
IMAGE_FORMATS: list[str] = [name for name in _RASTER if name in Image.OPEN]
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif"}
)
MAX_PIXELS = 100_000_000  # larger than any camera's photo; what is above is a decompression bomb
DRAFT_GAP = 2  # a draft is at least so many times as large as the picture made of it
_ORIENTATION = 0x0112  # EXIF tag

# Pillow warns of large pictures where MAX_PIXELS refuses them with a sentence.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Preprocessing(BaseModel):
    """The contract between training and every later use of a network.

    Attributes:
        size: side of the square the network sees, pixels.
        mean: per-channel (R, G, B) mean of the training images, pixel values scaled to 0..1.
        std: per-channel standard deviation, same scale.
        classes: class names; the position is the label.
        display_names: what to show to people, one per class (the class name where none was given).
        mirror: whether an answer is the mean over a photo and its mirror image.
        draft: whether large JPEG photos are decoded at a half, a quarter or an eighth of their size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: PositiveInt
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    classes: tuple[str, ...]
    display_names: tuple[str, ...]
    mirror: bool = False  # as where a contract was stored before there was this choice
    draft: bool = False  # likewise

    @model_validator(mode="after")
    def _one_display_name_a_class(self) -> "Preprocessing":
        if len(self.classes) != len(self.display_names):
            raise ValueError(
                f"{len(self.classes)} classes but {len(self.display_names)} display names; "
                "there must be one display name per class"
            )
        return self

    @classmethod
    def from_settings(
        cls, settings: InputConfig, classes: Classes, measure: Callable[[], tuple[Rgb, Rgb]]
    ) -> "Preprocessing":
        """Make the contract of a run. Nothing else makes one of settings.

        Args:
            settings: what the network is to see of a photo.
            classes: what it is to tell apart.
            measure: returns mean and standard deviation; called if the settings leave them open.
        """
        mean, std = settings.mean, settings.std
        if mean is None or std is None:
            mean, std = measure()
        return cls(
            size=settings.size,
            mean=mean,
            std=std,
            classes=classes.names,
            display_names=classes.display_names,
            mirror=settings.mirror,
            draft=settings.draft,
        )

    def load(self, path: Path | str) -> NDArray[np.uint8]:
        """Read a photo as the network's square, not yet normalised.

        Shape: -> (size, size, 3), uint8.

        Raises:
            ImageError: the file cannot be read as a photo.
        """
        return np.asarray(read_square(path, self.size, self.draft))

    def normalise(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scale to 0..1, subtract the mean, divide by the standard deviation, channels first.

        Shape: (N, size, size, 3) uint8 -> (N, 3, size, size) float32.
        """
        std = np.asarray(self.std, np.float32).reshape(1, 3, 1, 1)
        mean = np.asarray(self.mean, np.float32).reshape(1, 3, 1, 1)
        channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        channels_first *= 1 / (255 * std)
        channels_first -= mean / std
        return channels_first


def read_image(path: Path | str, content: bytes | None = None) -> Image.Image:
    """Read a photo of any mode as upright RGB.

    The EXIF orientation is honoured, 16-bit grey is scaled to 8 bits, and what is transparent becomes
    black, the colour of the padding.

    Args:
        path: the file.
        content: its bytes, if they were read already, as from an archive; `path` then only names the photo.

    Raises:
        ImageError: the file is missing, empty, cut short, not a raster image or too large.
    """
    with _opened(path, content) as image:
        return _upright_rgb(image)


def read_square(path: Path | str, size: int, draft: bool = False) -> Image.Image:
    """Read a photo, fitted into a black square.

    A draft of a JPEG photo is decoded at 1/2, 1/4 or 1/8 of its size, which costs a fraction of the time,
    as long as that is still twice the size it will have in the square: nearer to it one sees the difference.
    Where the picture lies in the square does not depend on it.

    Args:
        path: the file.
        size: side of the square, pixels.
        draft: whether pixels may differ a little from those of the whole photo.

    Raises:
        ImageError: as of `read_image`.
    """
    with _opened(path) as image:
        width, height = _fitted(image.size, size)
        smaller = image.draft(None, (DRAFT_GAP * width, DRAFT_GAP * height)) if draft else None
        if smaller is None:  # not asked for, or no JPEG
            return resize_and_pad(_upright_rgb(image), size)
        _, box = smaller  # what the photo covers of its draft, whose last pixels may lie half outside
        fitted = _to_rgb(image).resize((width, height), Image.Resampling.BICUBIC, box)
        return _padded(ImageOps.exif_transpose(fitted), size)


def resize_and_pad(image: Image.Image, size: int) -> Image.Image:
    """Fit a picture into a black square, aspect ratio kept, centred.

    The tutorial's geometry: both sides times size / longer side, rounded down (but never below 1 pixel),
    bicubic. For a few sizes rounding leaves the longer side 1 pixel short, as it does in the tutorial.
    """
    return _padded(image.resize(_fitted(image.size, size), Image.Resampling.BICUBIC), size)


def photo_box(sides: tuple[int, int], size: int) -> tuple[int, int, int, int]:
    """Return where a photo of (width, height) lies in its square: left, top, right and bottom, pixels."""
    width, height = _fitted(sides, size)
    left, top = (size - width) // 2, (size - height) // 2
    return left, top, left + width, top + height


def _fitted(sides: tuple[int, int], size: int) -> tuple[int, int]:
    scale = size / max(sides)
    width, height = (max(1, int(side * scale)) for side in sides)
    return width, height


def _padded(image: Image.Image, size: int) -> Image.Image:
    square = Image.new("RGB", (size, size))
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return square


@contextmanager
def _opened(path: Path | str, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open a photo that is not too large; whatever fails, in the block too, becomes an `ImageError`."""
    try:
        with Image.open(path if content is None else BytesIO(content), formats=IMAGE_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{path}: {image.width} x {image.height} pixels; a photo may have up to "
                    f"{MAX_PIXELS // 1_000_000} million"
                )
            yield image
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file; check the path") from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{path}: {_what_it_is(Path(path), content)}; a photo (JPEG, PNG, ...) is needed"
        ) from None
    except Exception as error:  # decoders of broken files raise nearly anything
        raise ImageError(f"{path}: cannot be decoded ({error}); replace or remove this file") from None


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.getexif().get(_ORIENTATION, 1) == 1:  # exif_transpose would copy it, a tenth of the time
        return _to_rgb(image)
    return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("RGB")
    return image.convert("RGB")


def _what_it_is(path: Path, content: bytes | None) -> str:
    if (path.stat().st_size if content is None else len(content)) == 0:
        return "an empty file (0 bytes)"
    if path.suffix.lower() in (".heic", ".heif"):
        return "an HEIC photo, which must be converted to JPEG first"
    return "not an image this program can read"
