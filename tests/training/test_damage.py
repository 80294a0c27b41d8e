"""Damaged checkpoints and disks that refuse: nothing is lost that was whole."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import RunMain
from interruptions import RECIPES, Killed, Uninterrupted, assert_same_end, kill_at_replace, stop_after
from tiny_runs import LAST, PREVIOUS, words

from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.train import main
from paddle_wrn.training.session import train

pytestmark = pytest.mark.usefixtures("no_figures")


# Damage


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def change_the_record(file: Path) -> None:
    content = file.read_bytes()
    assert content.count(b'\\"epoch\\": 1') == 1
    file.write_bytes(content.replace(b'\\"epoch\\": 1', b'\\"epoch\\": 2'))


DAMAGES = (cut, empty, flip_a_bit, change_the_record)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_falls_back_to_the_one_before_and_says_so(
    damage: Callable[[Path], None],
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "run"
    stop_after(6, "sgd", data_folder, run, monkeypatch)
    damage(run / LAST)
    outcome = run_main(main, "--resume", "--output", run)
    assert outcome.code == 0
    assert re.search(
        f"{re.escape(str(run / LAST))}: .*damaged.*continuing from the checkpoint before", outcome.out
    )
    assert "resumed   after epoch 1, step 0" in outcome.out
    assert_same_end(run, uninterrupted("sgd"))


def test_a_kill_after_falling_back_leaves_a_whole_checkpoint(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5, 10):  # the renames of the first save and around it
        run = tmp_path / f"run{number}"
        stop_after(6, "sgd", data_folder, run, monkeypatch)
        cut(run / LAST)
        with monkeypatch.context() as patch:
            kill_at_replace(patch, number)
            with pytest.raises(Killed):
                train(output=run, resume=True)
        train(output=run, resume=True)
        assert_same_end(run, uninterrupted("sgd"))


@pytest.mark.parametrize("damage", DAMAGES[:3])
def test_two_damaged_checkpoints_are_a_sentence(
    damage: Callable[[Path], None],
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "run"
    stop_after(6, "sgd", data_folder, run, monkeypatch)
    damage(run / LAST)
    damage(run / PREVIOUS)
    outcome = run_main(main, "--resume", "--output", run)
    assert outcome.code == 2
    assert str(run / LAST) in outcome.err
    assert str(run / PREVIOUS) in outcome.err


def test_a_history_line_that_was_cut_short_does_no_harm(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    with (tmp_path / "run" / "history.jsonl").open("a") as file:
        file.write('{"epoch": 2, "lr": 0.0')
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


# Disks that refuse


@pytest.mark.parametrize("write", range(1, 6))
def test_a_full_disk_is_a_sentence_and_the_run_goes_on_later(
    write: int,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    run = tmp_path / "run"
    write_bytes, done = Path.write_bytes, []

    def full(path: Path, content: bytes) -> int:
        done.append(1)
        if len(done) >= write:
            write_bytes(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        outcome = run_main(main, "--data", data_folder, "--output", run, *words(RECIPES["sgd"]))
    assert outcome.code == 2
    assert "the disk is full" in outcome.err
    assert not list(run.rglob("*.tmp"))
    for file in (run / "checkpoints").iterdir():
        arrays, _ = load_checkpoint(file, "model" if file.name.startswith("best") else "training")
        assert all(np.isfinite(array).all() for array in arrays.values())
    settings = words(RECIPES["sgd"])
    assert run_main(main, "--resume", "--data", data_folder, "--output", run, *settings).code == 0
    assert_same_end(run, uninterrupted("sgd"))
