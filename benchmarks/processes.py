"""Running what is measured: each figure comes from a process of its own, in a clean environment."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# A shell's settings for these libraries would speed up or slow down one side only.
_SETTINGS = ("FLAGS_", "OMP_", "GOMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_", "OPENBLAS_", "TORCH", "PADDLE_")


class LeftOut(Exception):  # noqa: N818 - no error: a row that cannot be measured here
    """A row cannot be measured here, and why."""


class ProcessFailed(Exception):  # noqa: N818 - says what happened
    """A measured process ended with an error."""


def needs(*modules: str) -> None:
    """Raise `LeftOut` if one of the modules is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise LeftOut(f"{module} is not installed")


def pin(cores: int) -> tuple[int, ...]:
    """Bind this process and all it starts to the first cores it may use; return them."""
    if not hasattr(os, "sched_setaffinity"):  # macOS, Windows
        return tuple(range(os.cpu_count() or 1))
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    os.sched_setaffinity(0, chosen)
    return tuple(chosen)


def clean_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process' environment without settings of numerical libraries."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return kept | dict(changes or {})


def run_module(module: str, *words: object, environment: Mapping[str, str] | None = None) -> str:
    """Run `python -m module words` in the checkout and return what it printed.

    Raises:
        ProcessFailed: it ended with an error.
    """
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env=clean_environment(environment), capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ProcessFailed(f"python -m {module} ended with {done.returncode}: {last}")
    return done.stdout


def measure(module: str, *words: object, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a module that prints its figures as a last line of JSON, and return them."""
    lines = run_module(module, *words, environment=environment).strip().splitlines()
    try:
        figures = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise ProcessFailed(f"python -m {module} printed no figures") from None
    return dict(figures)


def alternate(
    sides: Mapping[str, Callable[[int], float]], repeats: Iterable[int]
) -> dict[str, tuple[float, ...]]:
    """Measure every side once a repeat, in turn; every second repeat in the opposite order.

    So a machine that grows slower or faster meanwhile does so for all sides.

    Args:
        sides: name -> what is called with the number of the repeat and returns a figure.
        repeats: the numbers.
    """
    values: dict[str, list[float]] = {name: [] for name in sides}
    for count, repeat in enumerate(repeats):
        for name in list(sides)[:: -1 if count % 2 else 1]:
            value = sides[name](repeat)
            values[name].append(value)
            print(f"  {name}: {value:.4g}", file=sys.stderr, flush=True)
    return {name: tuple(found) for name, found in values.items()}
