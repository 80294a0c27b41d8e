"""Writing files atomically.

A file is written beside its place, flushed to disk and then renamed, so whatever happens in between, the
place holds a whole file. A new folder is filled and then renamed, likewise.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paddle_wrn.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, flush it to disk and move it into place."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # the one that was asked for
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Let the block fill a folder that is moved to `path` when it ends; if it fails, nothing is left.

    Raises:
        UserError: something is at `path` already or by then, or nothing can be written there.
    """
    in_the_way = f"{path}: exists already; give another --output, or remove it first"
    if path.exists() or path.is_symlink():
        raise UserError(in_the_way)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        temporary = tempfile.TemporaryDirectory(prefix=".paddle_wrn-", dir=above)
    except OSError as error:
        reason = (error.strerror or "no permission").lower()
        raise UserError(
            f"{path}: nothing can be written into {above} ({reason}); give another --output"
        ) from None
    with temporary as place:
        folder = Path(place) / path.name  # whose permissions are those of any new folder
        folder.mkdir()
        yield folder
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(path)
        except OSError:
            if path.exists():  # since this one was begun
                raise UserError(in_the_way) from None
            raise


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
