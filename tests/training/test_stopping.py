"""Stopping and killing: a run that is resumed ends with the same bytes as one that never stopped."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import RunMain
from interruptions import (
    RECIPES,
    Killed,
    Uninterrupted,
    assert_same_end,
    kill_at_replace,
    signal_after,
    stop_after,
)
from tiny_runs import LAST, words

from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.train import main
from paddle_wrn.training import loop
from paddle_wrn.training.session import train

pytestmark = pytest.mark.usefixtures("no_figures")


# Stopped by a signal


@pytest.mark.parametrize("recipe", ["sgd", "adam"])
@pytest.mark.parametrize("steps", [1, 4, 6, 11])
def test_stopped_and_resumed_ends_like_never_stopped(
    steps: int,
    recipe: str,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_after(steps, recipe, data_folder, tmp_path / "run", monkeypatch)
    progress = load_checkpoint(tmp_path / "run" / LAST, "training")[1]["progress"]
    assert (progress["epoch"], progress["step"]) == divmod(steps, 4)
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted(recipe))


def test_stopped_at_every_step_ends_like_never_stopped(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = 0
    while not (tmp_path / "run" / "metrics.json").exists():
        with monkeypatch.context() as patch:
            signal_after(patch, 1)
            try:
                train(data=data_folder, output=tmp_path / "run", resume=True, settings=RECIPES["sgd"])
            except KeyboardInterrupt:
                stops += 1
    assert stops == 11  # the twelfth step is the last: what it leaves is finished
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(
    number: signal.Signals,
    code: int,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "my run"
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        signal_after(patch, 6, number)
        outcome = run_main(main, "--data", data_folder, "--output", run, *words(RECIPES["sgd"]))
    assert outcome.code == code
    assert "finishing this step, then saving" in outcome.err
    assert f"stopped by {number.name} after epoch 1, step 2" in outcome.out
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    (line,) = (line for line in outcome.out.splitlines() if "--resume" in line)
    assert shlex.split(line)[:3] == ["python", "-m", "paddle_wrn.train"]
    assert run_main(main, *shlex.split(line)[3:]).code == 0
    assert_same_end(run, uninterrupted("sgd"))


def test_a_second_signal_acts_at_once(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, done = loop.train_step, []

    def impatient(*args: Any) -> bool:
        done.append(1)
        if len(done) == 6:
            waiting = signal.getsignal(signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            while signal.getsignal(signal.SIGINT) is waiting:  # another thread may have got the signal
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        return bool(step(*args))

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", impatient)
        with pytest.raises(KeyboardInterrupt):
            train(data=data_folder, output=tmp_path / "run", settings=RECIPES["sgd"])
    progress = load_checkpoint(tmp_path / "run" / LAST, "training")[1]["progress"]
    assert (progress["epoch"], progress["step"]) == (1, 0)  # the begun epoch was not saved
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


# Killed


def test_killed_at_any_rename_and_resumed_ends_like_never_stopped(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 0
    killed = True
    while killed:
        number += 1
        arguments: dict[str, Any] = {"data": data_folder, "output": tmp_path / f"run{number}"}
        arguments["settings"] = RECIPES["short"]
        with monkeypatch.context() as patch:
            kill_at_replace(patch, number)
            try:
                train(**arguments)
                killed = False
            except Killed:
                pass
        train(**arguments, resume=True)
        assert_same_end(tmp_path / f"run{number}", uninterrupted("short"))
    assert number > 12


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_ends_like_never_stopped(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    rng = random.Random(0)
    for epochs in (1, 12, 25):
        process = start(run, data_folder, "--resume")
        wait_for_epochs(run, epochs, process)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    train(output=run, resume=True)
    assert_same_end(run, uninterrupted("long"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_real_process_ends_as_its_signal_asks(
    number: signal.Signals, code: int, uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path
) -> None:
    process = start(tmp_path / "run", data_folder)
    wait_for_epochs(tmp_path / "run", 2, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"stopped by {number.name}" in out
    assert "Traceback" not in err
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("long"))


def start(run: Path, data_folder: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "paddle_wrn.train", "--data", str(data_folder), "--output", str(run)]
    return subprocess.Popen(
        [*command, *more, *words(RECIPES["long"])],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def wait_for_epochs(run: Path, epochs: int, process: "subprocess.Popen[str]") -> None:
    history = run / "history.jsonl"
    while not history.exists() or len(history.read_text("utf-8").splitlines()) < epochs:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
