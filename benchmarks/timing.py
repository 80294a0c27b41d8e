"""What both sides of a comparison share: how a step is timed and how figures are handed back.

It imports nothing but Python, so that a process which measures somebody else's code stays as it comes.
"""

import json
import time
from collections.abc import Callable

WARM_UP_STEPS = 3
LEAST_STEPS = 3


def rate(step: Callable[[], object], images: int, seconds: float, warm_up: float = 1.0) -> float:
    """Return images a second of a step that is repeated.

    Args:
        step: what is timed.
        images: how many one step handles.
        seconds: how long to repeat it, at least three times.
        warm_up: seconds before, at least three steps, which do not count.
    """
    _repeat(step, warm_up, WARM_UP_STEPS)
    steps, elapsed = _repeat(step, seconds, LEAST_STEPS)
    return steps * images / elapsed


def report(**figures: object) -> None:
    """Print the figures of this process as one line of JSON."""
    print(json.dumps(figures), flush=True)


def _repeat(step: Callable[[], object], seconds: float, least: int) -> tuple[int, float]:
    began = time.perf_counter()
    steps, elapsed = 0, 0.0
    while steps < least or elapsed < seconds:
        step()
        steps += 1
        elapsed = time.perf_counter() - began
    return steps, elapsed
