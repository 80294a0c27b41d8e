"""Unpack zip and tar archives of photos from anybody, safely.

Nothing is written outside the target folder, links and devices are refused, and number and size of the
members are bounded. The bytes are counted while they are copied, because headers may lie.
"""

import lzma
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from paddle_wrn.errors import UserError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_MEMBERS = 1_000_000  # files and folders
MAX_BYTES = 50_000_000_000  # unpacked, all members together

_PART = 1 << 20  # bytes copied at a time
_TAR_BLOCK = 512  # bytes, the format's unit
_ENCRYPTED, _UTF8 = 0x1, 0x800  # flag bits of a zip member
_DECODER_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    ValueError,
)


@dataclass(frozen=True)
class _Member:
    name: str
    is_folder: bool
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def archive_suffix(path: Path) -> str:
    """Return the part of the name that says it is an archive (`.tar.gz`, ...), or an empty string."""
    matches = [suffix for suffix in ARCHIVE_SUFFIXES if path.name.lower().endswith(suffix)]
    return path.name[-len(matches[0]) :] if matches else ""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder that does not exist yet; on any error nothing is left behind.

    Raises:
        UserError: the archive is broken, encrypted or too large, or a member is a link, a device or would
            be written outside the folder.
    """
    open_members = _zip_members if archive_suffix(archive).lower() == ".zip" else _tar_members
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as temporary:
        target = Path(temporary) / "members"
        target.mkdir()
        with _broken_in_one_sentence(archive), open_members(archive) as members:
            _write(archive, members, target)
        target.rename(folder)


def read_members(archive: Path, wanted: Callable[[str], bool], max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted files of an archive, in one pass; nothing is written to disk.

    Args:
        archive: a zip or tar.
        wanted: says by its name whether a file is read.
        max_bytes: a wanted file may hold this many.

    Raises:
        UserError: the archive is broken or encrypted, or a wanted member is too large or no file.
    """
    open_members = _zip_members if archive_suffix(archive).lower() == ".zip" else _tar_one_by_one
    with _broken_in_one_sentence(archive), open_members(archive) as members:
        for member in members:
            if member.is_folder or not wanted(member.name):
                continue
            if not member.is_file:
                raise UserError(f"{archive}: its member {member.name!r} is a link or a device, not a file")
            source = member.open()
            assert source is not None  # it is a file
            content = bytearray()
            with source:
                while part := source.read(_PART):
                    content += part
                    if len(content) > max_bytes:
                        raise UserError(
                            f"{archive}: its member {member.name!r} has more than {max_bytes:,} bytes"
                        )
            yield member.name, bytes(content)


@contextmanager
def _broken_in_one_sentence(archive: Path) -> Iterator[None]:
    try:
        yield
    except (*_DECODER_ERRORS, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _broken(archive, (str(error) or type(error).__name__).splitlines()[0].rstrip(":")) from None
    except OSError as error:
        if error.errno is not None:  # the disk's complaint, not a decoder's
            raise
        raise _broken(archive, str(error)) from None


def _broken(archive: Path, what: str) -> UserError:
    return UserError(f"{archive}: broken or cut short ({what}); copy or download it again")


@contextmanager
def _zip_members(archive: Path) -> Iterator[list[_Member]]:
    with zipfile.ZipFile(archive) as opened:
        infos = opened.infolist()
        if any(info.flag_bits & _ENCRYPTED for info in infos):
            raise UserError(f"{archive}: protected by a password; unpack it yourself and give the folder")
        _check_bounds(archive, len(infos), sum(info.file_size for info in infos))
        unflagged = [info for info in infos if not info.flag_bits & _UTF8]
        # zipfile reads such names as code page 437, which maps each byte to a character and back
        decoded = _decode([info.orig_filename.encode("cp437") for info in unflagged], "cp437")
        names = {id(info): name for info, name in zip(unflagged, decoded, strict=True)}
        members = []
        for info in infos:
            name = names.get(id(info), info.orig_filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_folder = name.endswith("/")
            is_file = not is_folder and kind in (0, stat.S_IFREG)
            members.append(_Member(name, is_folder, is_file, lambda info=info: opened.open(info)))  # type: ignore[misc]
        yield members


@contextmanager
def _tar_members(archive: Path) -> Iterator[list[_Member]]:
    with tarfile.open(archive, "r:*") as opened:
        infos: list[tarfile.TarInfo] = []
        size = 0
        for info in opened:
            infos.append(info)
            size += info.size
            _check_bounds(archive, len(infos), size)
        _check_end(archive, opened)
        names = _decode([info.name.encode("utf-8", "surrogateescape") for info in infos], "latin-1")
        yield [
            _Member(name, info.isdir(), info.isfile(), lambda info=info: opened.extractfile(info))  # type: ignore[misc]
            for info, name in zip(infos, names, strict=True)
        ]


@contextmanager
def _tar_one_by_one(archive: Path) -> Iterator[Iterator[_Member]]:
    """Like `_tar_members`, but a compressed tar is unpacked once, not once more for the names."""

    def members(opened: tarfile.TarFile) -> Iterator[_Member]:
        while (info := opened.next()) is not None:
            yield _Member(info.name, info.isdir(), info.isfile(), lambda info=info: opened.extractfile(info))  # type: ignore[misc]
            opened.members.clear()  # type: ignore[attr-defined]  # which tarfile would keep, all of them
        _check_end(archive, opened)

    with tarfile.open(archive, "r:*") as opened:
        yield members(opened)


def _check_end(archive: Path, opened: tarfile.TarFile) -> None:
    """Raise `UserError` if the block of zeros that ends a tar is missing; tarfile does not mind."""
    assert opened.fileobj is not None
    opened.fileobj.seek(opened.offset)
    if opened.fileobj.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
        raise _broken(archive, "its end is missing")


def _decode(names: Sequence[bytes], otherwise: str) -> list[str]:
    """Decode names of unstated encoding: UTF-8, else the one of Chinese Windows, else `otherwise`.

    All names of an archive are decoded alike, so that a folder keeps one name.
    """
    for encoding in ("utf-8", "gbk"):
        try:
            return [name.decode(encoding) for name in names]
        except UnicodeDecodeError:
            continue
    return [name.decode(otherwise) for name in names]


def _check_bounds(archive: Path, count: int, size: int) -> None:
    if count > MAX_MEMBERS:
        raise UserError(f"{archive}: more than {MAX_MEMBERS:,} members; give it as a folder, unpacked")
    if size > MAX_BYTES:
        raise UserError(f"{archive}: more than {MAX_BYTES:,} bytes unpacked; give it as a folder, unpacked")


def _write(archive: Path, members: Sequence[_Member], target: Path) -> None:
    paths = [_safe_path(archive, member) for member in members]  # all are checked before any is written
    size = 0
    for member, path in zip(members, paths, strict=True):
        if member.is_folder:
            (target / path).mkdir(parents=True, exist_ok=True)
            continue
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        assert source is not None  # it is a file
        with source, (target / path).open("wb") as file:
            while part := source.read(_PART):
                size += len(part)
                _check_bounds(archive, 0, size)
                file.write(part)


def _safe_path(archive: Path, member: _Member) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if not (member.is_file or member.is_folder):
        fault = "is a link or a device"
    elif path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", member.name):
        fault = "would be written outside the folder"
    elif "\\" in member.name or "\0" in member.name or (member.is_file and not path.name):
        fault = "has a name that is no plain path"
    else:
        return path
    raise UserError(
        f"{archive}: refused, because its member {member.name!r} {fault}; pack the photos again without it"
    )
