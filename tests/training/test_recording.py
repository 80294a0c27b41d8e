"""Tests of what a training leaves behind while it goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from visualdl import LogReader

from paddle_wrn.config import load_config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.console import log_on_screen
from paddle_wrn.training.recording import Recorder, RunRecorder
from paddle_wrn.training.state import Progress, TrainingState, new_state

LISTS = "the fingerprint of the lists"


@pytest.fixture
def state() -> TrainingState:
    """Return a training of 30 epochs that has not begun."""
    half, names = (0.5, 0.5, 0.5), ("a", "b")
    contract = Preprocessing(size=16, mean=half, std=half, classes=names, display_names=names)
    return new_state(load_config(None, TINY | {"epochs": 30}), contract)


@pytest.fixture
def run(state: TrainingState, tmp_path: Path) -> RunFolder:
    """Return the folder of a run that has just been made."""
    run = RunFolder(tmp_path / "run")
    run.create(state.config, state.preprocessing)
    return run


@pytest.fixture
def recorder(run: RunFolder) -> Iterator[RunRecorder]:
    """Return the recorder of a run that begins."""
    recorder = RunRecorder(run, LISTS, 0)
    yield recorder
    recorder.close()


def epoch(number: int, **changes: Any) -> Epoch:
    figures = {"lr": 0.1, "train_loss": 1 / number, "train_acc": 0.5, "val_loss": 0.25, "val_acc": 0.75}
    return Epoch(**{"epoch": number, **figures, "images_per_second": 100.0, "seconds": 2.0} | changes)


def numbers(epochs: list[Epoch]) -> list[int]:
    return [epoch.epoch for epoch in epochs]


def write_history(run: RunFolder, *epochs: Epoch, tail: str = "") -> None:
    run.history_file.write_text("".join(epoch.line() for epoch in epochs) + tail, encoding="utf-8")


# Epochs


def test_what_was_added_is_read_at_any_moment(
    run: RunFolder, recorder: RunRecorder, state: TrainingState
) -> None:
    for number in (1, 2, 3):
        recorder.add(epoch(number), state)
        assert run.epochs() == recorder.epochs == [epoch(n) for n in range(1, number + 1)]

    lines = run.history_file.read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


@pytest.mark.parametrize("tail", ["", '{"epoch": 4, "lr"'])
def test_resuming_forgets_the_epochs_beyond(tail: str, run: RunFolder, state: TrainingState) -> None:
    write_history(run, epoch(1), epoch(2), epoch(3), tail=tail)

    recorder = RunRecorder(run, LISTS, 2)
    assert numbers(recorder.epochs) == numbers(run.epochs()) == [1, 2]
    recorder.add(epoch(3, train_loss=9.0), state)
    recorder.close()

    assert [e.train_loss for e in run.epochs()] == [1, 0.5, 9]
    assert run.history_file.read_text().endswith("}\n")


def test_a_new_run_forgets_everything(run: RunFolder) -> None:
    write_history(run, epoch(1))

    RunRecorder(run, LISTS, 0).close()

    assert run.history_file.read_text() == ""


def test_the_weights_of_the_best_epoch_are_kept_and_said_to_be(
    run: RunFolder, recorder: RunRecorder, state: TrainingState, capsys: pytest.CaptureFixture[str]
) -> None:
    with log_on_screen():
        state.progress = Progress(epoch=1, best_epoch=1)
        recorder.add(epoch(1), state)
        state.progress.epoch = 2
        recorder.add(epoch(2), state)

    assert load_checkpoint(run.best, "model")[1]["epoch"] == 1
    assert capsys.readouterr().out.splitlines() == [
        "epoch  1/30  lr 0.1  train loss 1.0000 acc 0.500  val loss 0.2500 acc 0.750 (kept)  100 photos/s",
        "epoch  2/30  lr 0.1  train loss 0.5000 acc 0.500  val loss 0.2500 acc 0.750  100 photos/s",
    ]


def test_visualdl_gets_every_epoch_and_ten_histograms(
    run: RunFolder, recorder: RunRecorder, state: TrainingState
) -> None:
    for number in range(1, 31):
        recorder.add(epoch(number), state)
    recorder.close()

    (file,) = (run.path / "visualdl").iterdir()
    reader = LogReader(file_path=str(file))
    assert [record.id for record in reader.get_data("scalar", "loss/train")] == list(range(1, 31))
    histograms = reader.get_data("histogram", "conv1.weight")
    assert [record.id for record in histograms] == list(range(3, 31, 3))


# Checkpoints


def test_a_mistake_names_the_last_good_checkpoint(
    run: RunFolder, recorder: RunRecorder, state: TrainingState
) -> None:
    def fail() -> str:
        with pytest.raises(UserError) as caught, recorder.last_good_named():
            raise UserError("the loss is nan")
        return str(caught.value)

    assert fail() == "the loss is nan; no checkpoint was saved yet"
    recorder.save(state)
    assert fail() == f"the loss is nan; the last good checkpoint is {run.last}"
    recorder.save(state)
    run.last.unlink()
    assert fail() == f"the loss is nan; the last good checkpoint is {run.previous}"


def test_what_is_saved_belongs_to_the_lists(
    run: RunFolder, recorder: RunRecorder, state: TrainingState
) -> None:
    recorder.save(state)

    assert load_checkpoint(run.last, "training")[1]["data"] == LISTS
    with pytest.raises(UserError, match="the lists have changed"):
        state.restore(run, "others")


def test_other_processes_than_the_first_leave_nothing_behind(
    state: TrainingState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    with log_on_screen(), recorder.progress_bar(10, 5) as bar, recorder.last_good_named():
        recorder.add(epoch(1), state)
        recorder.save(state)
        recorder.stopped(15, state.progress)

    assert bar.disable
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
