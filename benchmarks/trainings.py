"""Whole trainings from the shell, timed from outside, process start to process end."""

import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, ProcessFailed, clean_environment, measure, run_module

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class TutorialRun:
    """A training with the tutorial's own loop.

    Attributes:
        seconds: from start to end of the process.
        accuracy: on the test photos, after the last epoch.
        first_reached: seconds of training after which that accuracy was first seen.
    """

    seconds: float
    accuracy: float
    first_reached: float


def tutorial_run(lists: Path, epochs: int, seed: int) -> TutorialRun:
    """Train with the tutorial's loop."""
    began = time.perf_counter()
    words = ("train", lists, "--epochs", epochs, "--seed", seed)
    figures = measure("benchmarks.yardsticks.tutorial_loop", *words)
    seconds = time.perf_counter() - began
    accuracies, moments = figures["accuracies"], figures["moments"]
    return TutorialRun(seconds, accuracies[-1], first_at_least(accuracies[-1], accuracies, moments))


def recipe_seconds(lists: Path, epochs: int, seed: int) -> float:
    """Return the seconds that our command takes for the tutorial's recipe."""
    with tempfile.TemporaryDirectory() as folder:
        words = train_words("tutorial", lists, Path(folder, "run"), epochs, seed)
        began = time.perf_counter()
        run_module("paddle_wrn.train", *words)
        return time.perf_counter() - began


def seconds_to_accuracy(lists: Path, epochs: int, seed: int, accuracy: float) -> float:
    """Return the seconds until our default recipe reaches a validation accuracy; infinity if it does not.

    The run is watched through its `history.jsonl` and ended when that is seen.
    """
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "messages"), "w+") as messages:
        run = Path(folder, "run")
        words = ["-m", "paddle_wrn.train", *train_words("birds", lists, run, epochs, seed)]
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            cwd=ROOT, env=clean_environment(), stdout=messages, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            while True:
                code = process.poll()  # before the look at the file, which is complete if it has ended
                elapsed = time.perf_counter() - began
                if any(epoch["val_acc"] >= accuracy for epoch in _epochs(run / "history.jsonl")):
                    return elapsed
                if code == 0:
                    return math.inf
                if code is not None:
                    messages.seek(0)
                    raise ProcessFailed(f"training ended with {code}: {messages.read().strip()[-300:]}")
                time.sleep(POLL_SECONDS)
        finally:
            process.kill()
            process.wait()


def train_words(config: str, lists: Path, run: Path, epochs: int, seed: int) -> list[object]:
    """Return the arguments of our command."""
    file = ROOT / "configs" / f"{config}.yaml"
    return ["--config", file, "--data", lists, "--output", run, "--epochs", epochs, "--seed", seed]


def first_at_least(wanted: float, values: list[float], moments: list[float]) -> float:
    """Return the moment of the first value that is at least `wanted`; infinity if there is none."""
    reached = (moment for value, moment in zip(values, moments, strict=True) if value >= wanted)
    return next(reached, math.inf)


def _epochs(history: Path) -> list[dict[str, Any]]:
    if not history.exists():
        return []
    lines = history.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may be half written
