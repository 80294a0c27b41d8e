"""What a long command says, and how it hears that it is to stop."""

import logging
import signal
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

log = logging.getLogger("paddle_wrn")


def text_width(text: str) -> int:
    """Return the columns a text takes on a terminal, where Chinese characters are two wide."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


class Stop:
    """Set by the first Ctrl-C or SIGTERM: finish the step, save and leave."""

    signal: int | None = None


@contextmanager
def stop_signals(launched: bool = False) -> Iterator[Stop]:
    """Catch Ctrl-C and SIGTERM once; a second one acts at once. Does nothing outside the main thread.

    Args:
        launched: Paddle's launcher passes the signal on. It does so three times and then gives 30 seconds,
            so further ones mean nothing.
    """
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in numbers}

    def catch(number: int, _: object) -> None:
        stop.signal = number
        for known, handler in before.items():
            signal.signal(known, signal.SIG_IGN if launched else handler)
        again = "" if launched else " (again: stop at once)"
        print(f"finishing this step, then saving{again}", file=sys.stderr)

    for number in numbers:
        signal.signal(number, catch)
        if launched:  # an exchange in progress must not break off
            signal.siginterrupt(number, False)
    try:
        yield stop
    finally:
        if not (launched and stop.signal):
            for number, handler in before.items():
                signal.signal(number, handler)


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
