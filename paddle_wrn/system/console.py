"""What a long command says, and how it hears that it is to stop."""

import logging
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


@contextmanager
def log_to(file: Path) -> Iterator[None]:
    """Show what is logged on the screen, above the progress bar, and append it to a file."""
    screen = _AboveBar()
    to_file = logging.FileHandler(file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
    handlers = (screen, to_file)
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


class _AboveBar(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(record.getMessage(), file=sys.stdout)
