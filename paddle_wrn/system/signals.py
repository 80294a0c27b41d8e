"""How a long command hears that it is to stop."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Set by the first Ctrl-C or SIGTERM: finish the step, save and leave."""

    signal: int | None = None


class StoppedBySignal(KeyboardInterrupt):
    """A signal has ended a long work, after everything was saved.

    Attributes:
        signal: its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


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
