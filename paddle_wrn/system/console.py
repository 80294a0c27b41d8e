"""What a long command says, on the screen and in a file."""

import logging
import os
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

log = logging.getLogger("paddle_wrn")


def text_width(text: str) -> int:
    """Return the columns a text takes on a terminal, where Chinese characters are two wide."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def command_line(command: str, *words: object) -> str:
    """Return how a command of this package is typed, quoted for the shell.

    `command_line("predict", Path("my run"), "PHOTO")` is `python -m paddle_wrn.predict 'my run' PHOTO`.
    """
    return shell_line("python", "-m", f"paddle_wrn.{command}", *words)


def shell_line(*words: object) -> str:
    """Return words as one line that can be pasted into the shell of this system."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)


@contextmanager
def log_on_screen() -> Iterator[None]:
    """Show what is logged on the screen, above the progress bar, once however often this is nested."""
    if any(isinstance(handler, _AboveBar) for handler in log.handlers):
        yield
        return
    with _handled_by(_AboveBar()):
        yield


@contextmanager
def log_to(file: Path) -> Iterator[None]:
    """Append what is logged to a file."""
    to_file = logging.FileHandler(file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
    with _handled_by(to_file):
        yield


@contextmanager
def _handled_by(handler: logging.Handler) -> Iterator[None]:
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


class _AboveBar(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(record.getMessage(), file=sys.stdout)
        sys.stdout.flush()  # whoever reads a pipe sees a line when it is said
