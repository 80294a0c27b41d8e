"""Trainings that are stopped or killed, and runs that never were to hold them against."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import BEST, TINY, history, metrics

from paddle_wrn.system.signals import Stopped

# four steps of 7, 7, 7 and 3 photos
SGD = TINY | {"schedule.warmup": 0.2, "model.options.drop_rate": 0.3}
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": SGD,
    # four steps of 5; the 4 photos that are left do not come, others in every epoch
    "adam": TINY
    | {"schedule.warmup": 0.2, "optimizer.name": "adam", "optimizer.lr": 0.01, "batch_size": 5}
    | {"drop_last": True},
    "short": SGD | {"epochs": 2},
    "long": SGD | {"epochs": 40},  # a second or two: time enough to be killed
}

Uninterrupted = Callable[[str], Path]


@pytest.fixture(scope="session")
def uninterrupted(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """Return a function from the name of a recipe to the folder of a run that never stopped."""
    from paddle_wrn.training.session import train

    folder = tmp_path_factory.mktemp("uninterrupted")

    def run_of(name: str) -> Path:
        if not (folder / name).exists():
            train(data=data_folder, output=folder / name, settings=RECIPES[name])
        return folder / name

    return run_of


def assert_same_end(run: Path, reference: Path) -> None:
    """Compare weights, results and history, bit for bit."""
    for name in (BEST, "model.pdparams"):
        assert (run / name).read_bytes() == (reference / name).read_bytes()
    assert _results(run) == _results(reference)
    assert _curve(run) == _curve(reference)


def _results(run: Path) -> dict[str, Any]:
    stored = metrics(run)
    return {name: stored[name] for name in ("val", "test", "kept_epoch")}


def _curve(run: Path) -> list[dict[str, Any]]:
    return [{name: epoch[name] for name in epoch if "second" not in name} for epoch in history(run)]


def signal_after(monkeypatch: pytest.MonkeyPatch, steps: int, number: int = signal.SIGINT) -> None:
    """Send this process a signal in the middle of a step, once."""
    from paddle_wrn.training import loop

    step, done = loop.train_step, []

    def signalling_step(*args: Any) -> bool:
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), number)
        return bool(step(*args))

    monkeypatch.setattr(loop, "train_step", signalling_step)


def stop_after(
    steps: int, recipe: str, data_folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leave a run that was stopped after so many steps."""
    from paddle_wrn.training.session import train

    with monkeypatch.context() as patch:
        signal_after(patch, steps)
        with pytest.raises(Stopped):
            train(data=data_folder, output=run, settings=RECIPES[recipe])


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may run after it."""


def kill_at_replace(patch: pytest.MonkeyPatch, number: int) -> None:
    """Die just before the file system renames for the n-th time; no clean-up runs."""
    replace, done = os.replace, []

    def dying_replace(source: Any, target: Any) -> None:
        done.append(1)
        if len(done) >= number:
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            raise Killed
        replace(source, target)

    patch.setattr(os, "replace", dying_replace)
