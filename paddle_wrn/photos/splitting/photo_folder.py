"""Where the photos are, and what is in their folder.

The photos come from a folder, from a zip or tar, which is unpacked aside until the lists are written, or
from the drawn sample. A class is a folder with its photos at any depth; whatever is no photo of a class is
left out and named, together with the reason.
"""

import difflib
import os
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from paddle_wrn.errors import UserError
from paddle_wrn.photos.preprocessing import IMAGE_SUFFIXES
from paddle_wrn.photos.sample.drawing import make_sample_birds
from paddle_wrn.photos.splitting.archive import ARCHIVE_SUFFIXES, archive_suffix, unpack
from paddle_wrn.photos.splitting.duplicates import Fingerprint, fingerprints
from paddle_wrn.system.console import command_line
from paddle_wrn.system.files import file_digest

SAMPLE = Path("data/sample_birds/photos")
SAMPLE_SETTINGS = "sample.json"  # beside the sample's class folders: how it was drawn
DISPLAY_NAMES = "display_names.txt"
ARCHIVE_RECORD = ".archive_sha256"  # beside unpacked photos: which archive they come from

SYSTEM_FILES = frozenset({"__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini"})
READY_MADE_SPLIT = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})

HIDDEN = "hidden, its name begins with a dot"
SYSTEM = "made by the operating system"
NOT_UTF8 = "its name is not UTF-8 text"
LINE_BREAK = "its name holds a line break, which a list cannot"
LINK_OUT = "symbolic link that leaves the source"
LINK_FOLDER = "symbolic link to a folder"
NO_CLASS = "lies in no class folder"
HEIC = "HEIC photo, convert it to JPEG first"
NO_IMAGE = "not an image file"
IRREGULAR = "not a regular file"
UNREADABLE = "cannot be read as a photo"


@dataclass(frozen=True, order=True)
class LeftOut:
    """A file or folder that is in no list: its path below the source, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Photo:
    """A photo that can be read.

    Attributes:
        path: below the source, with `/`.
        label: position of its class.
        fingerprint: what its copies are recognised by.
    """

    path: str
    label: int
    fingerprint: Fingerprint


def bare_name(source: Path) -> str:
    """Return the name of a folder or an archive, without what says it is one."""
    if source == SAMPLE:
        return SAMPLE.parent.name
    suffix = "" if source.is_dir() else archive_suffix(source)
    return source.resolve().name.removesuffix(suffix) or "photos"


@contextmanager
def photo_folder(
    source: Path | None, output: Path, overwrite: bool, dry_run: bool
) -> Iterator[tuple[Path, Path]]:
    """Yield where the photos are now, and where they will be once the lists are written.

    Raises:
        UserError: the source is missing or of no use, or what is in `output` would be lost.
    """
    if source is None and dry_run and not SAMPLE.is_dir():
        with tempfile.TemporaryDirectory() as temporary:
            _draw_sample(Path(temporary, "photos"))
            yield Path(temporary, "photos"), SAMPLE
    elif source is None:
        _draw_sample(SAMPLE)
        yield SAMPLE, SAMPLE
    elif source.is_dir():
        if output.resolve() != source.resolve() and output.resolve().is_relative_to(source.resolve()):
            raise UserError(f"{output}: lies inside the photos of {source}; choose an --output outside")
        yield source, source
    elif not source.exists():
        raise UserError(f"{source}: no such folder or archive; check the path")
    elif not archive_suffix(source):
        raise UserError(f"{source}: neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)})")
    else:
        home = output / "photos"
        digest = file_digest(source)
        if _unpacked_before(home, digest, source, overwrite):
            yield home, home
            return
        with staging(output, elsewhere=dry_run) as aside:
            unpack(source, aside / "photos")
            (aside / "photos" / ARCHIVE_RECORD).write_text(f"{digest}\n", encoding="utf-8")
            yield aside / "photos", home


def _draw_sample(folder: Path) -> None:
    try:
        make_sample_birds(folder)
    except UserError:
        raise UserError(
            f"{folder}: holds something other than the sample birds; remove it, "
            f"or split it as photos of your own: {command_line('split_data', folder)}"
        ) from None


def _unpacked_before(home: Path, digest: str, archive: Path, overwrite: bool) -> bool:
    record = home / ARCHIVE_RECORD
    if not home.exists():
        return False
    if not record.is_file():
        raise UserError(f"{home}: was not unpacked by this command; choose another --output for {archive}")
    if record.read_text(encoding="utf-8").strip() == digest:
        return True
    if not overwrite:
        raise UserError(
            f"{home}: unpacked from another archive than {archive}; add --overwrite to replace it"
        )
    return False


@contextmanager
def staging(output: Path, elsewhere: bool) -> Iterator[Path]:
    """Yield a temporary folder beside the final files; folders made for it vanish if they stay empty."""
    if elsewhere:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    missing = [folder for folder in (output, *output.parents) if not folder.exists()]
    output.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=output, prefix=".split-") as temporary:
            yield Path(temporary)
    finally:
        for folder in missing:
            with suppress(OSError):  # not empty
                folder.rmdir()


def find_classes(folder: Path, root: Path, expected: set[str], left_out: list[LeftOut]) -> list[Path]:
    """Return the class folders: those in `folder`, or in its only folder if that holds nothing else."""
    folders = []
    loose_photos = False
    for path in sorted(folder.iterdir()):
        obstacle = _obstacle(path, root)
        if path.name in expected:
            continue
        if path.is_dir() and obstacle is None:
            folders.append(path)
        else:
            left_out.append(_left_out(path, root, obstacle or NO_CLASS))
            loose_photos |= obstacle is None and path.suffix.lower() in IMAGE_SUFFIXES
    if len(folders) == 1 and not loose_photos and _holds_folders_only(folders[0], root):
        return find_classes(folders[0], root, expected, left_out)
    return folders


def _holds_folders_only(folder: Path, root: Path) -> bool:
    inside = [path for path in folder.iterdir() if _obstacle(path, root) is None]
    photos = any(path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() for path in inside)
    return not photos and any(path.is_dir() for path in inside)


def class_names(folders: list[Path], source: Path) -> tuple[str, ...]:
    """Sort the class folders by name, check them, and return the names (Unicode NFC)."""
    folders.sort(key=lambda folder: unicodedata.normalize("NFC", folder.name))
    names = [unicodedata.normalize("NFC", folder.name).strip() for folder in folders]
    for folder, name in zip(folders, names, strict=True):
        if not name or "\t" in name or names.count(name) > 1:
            fault = "looks like another folder's name" if names.count(name) > 1 else "is blank or holds a tab"
            raise UserError(
                f"{source}: the name of the class folder {folder.name!r} {fault}; rename the folder"
            )
    if not names:
        raise UserError(f"{source}: no class folders; it needs one sub-folder of photos per class")
    if len(names) == 1:
        raise UserError(
            f"{source}: one class only ({names[0]!r}); there must be two or more class folders to tell apart"
        )
    if READY_MADE_SPLIT.issuperset(name.lower() for name in names):
        raise UserError(
            f"{source}: found a ready-made split ({', '.join(names)}) where class folders are needed; "
            "give one of these folders, or put all photos of a class together"
        )
    return tuple(names)


def read_display_names(classes: Sequence[str], file: Path, needed: bool) -> tuple[str, ...]:
    """Read lines `class<TAB>display name`; a class without one is shown by its own name."""
    if not file.is_file():
        if needed:
            raise UserError(f"{file}: no such file; check --names")
        return tuple(classes)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8 text; save it as UTF-8") from None
    shown = dict(zip(classes, classes, strict=True))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, _, display_name = (part.strip() for part in line.partition("\t"))
        name = unicodedata.normalize("NFC", name)
        if "\t" not in line or not display_name:
            raise UserError(f"{file}, line {number}: found {line!r}; `class<TAB>display name` is needed")
        if name not in shown:
            nearest = difflib.get_close_matches(name, classes, n=1, cutoff=0)[0]
            raise UserError(
                f"{file}, line {number}: no class folder is named {name!r}; the nearest is {nearest!r}"
            )
        shown[name] = display_name
    return tuple(shown.values())


def read_photos(root: Path, class_folders: Sequence[Path], left_out: list[LeftOut]) -> list[Photo]:
    """Decode all photos of the class folders; what is none is left out. Sorted by label and path."""
    files = [
        (path.relative_to(root).as_posix(), label, path)
        for label, folder in enumerate(class_folders)
        for path in _walk(folder, root, left_out)
    ]
    files.sort(key=lambda file: (file[1], file[0]))
    photos = []
    for (name, label, path), result in zip(files, fingerprints([file[2] for file in files]), strict=True):
        if isinstance(result, Fingerprint):
            photos.append(Photo(name, label, result))
        else:
            why = str(result).removeprefix(f"{path}: ").replace(str(path), path.name)
            left_out.append(LeftOut(name, f"{UNREADABLE}: {why}"))
    return photos


def _walk(folder: Path, root: Path, left_out: list[LeftOut]) -> Iterator[Path]:
    for path in folder.iterdir():
        obstacle = _obstacle(path, root)
        if obstacle is None and path.is_dir():
            yield from _walk(path, root, left_out)
            continue
        obstacle = obstacle or _no_photo(path)
        if obstacle is None:
            yield path
        else:
            left_out.append(_left_out(path, root, obstacle))


def _obstacle(path: Path, root: Path) -> str | None:
    """Say why a file or folder cannot be used, judging by its name and place."""
    if path.name.startswith("."):
        return HIDDEN
    if path.name in SYSTEM_FILES:
        return SYSTEM
    if "\n" in path.name or "\r" in path.name:
        return LINE_BREAK
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return NOT_UTF8
    if path.is_symlink():
        if not Path(os.path.realpath(path)).is_relative_to(root.resolve()):
            return LINK_OUT
        if path.is_dir():
            return LINK_FOLDER
    return None


def _no_photo(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif"):
        return HEIC
    if suffix not in IMAGE_SUFFIXES:
        return NO_IMAGE
    return None if path.is_file() else IRREGULAR


def _left_out(path: Path, root: Path, reason: str) -> LeftOut:
    name = path.relative_to(root).as_posix()
    return LeftOut(name.encode("utf-8", "backslashreplace").decode(), reason)
