"""What a training leaves behind while it goes on: a line an epoch, VisualDL's records, checkpoints, words."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from paddle_wrn.errors import UserError
from paddle_wrn.models.weights import weights_of
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.console import log
from paddle_wrn.system.files import write_text
from paddle_wrn.training.announcements import epoch_line, stopped
from paddle_wrn.training.state import Progress, TrainingState
from paddle_wrn.training.visual_records import VisualRecords

HISTOGRAMS = 10  # of the weights, in a run


class Recorder:
    """Keeps nothing and says nothing, as all processes but the first do."""

    def progress_bar(self, total: int, done: int) -> "tqdm[Any]":
        """Return a bar over the photos of the whole training, of which some are done."""
        return tqdm(total=total, initial=done, disable=True)

    @contextmanager
    def last_good_named(self) -> Iterator[None]:
        """Let a `UserError` inside say which checkpoint is the last good one."""
        yield

    def add(self, epoch: Epoch, state: TrainingState) -> None:
        """Keep an epoch that is done, and its weights if they are the best so far."""

    def save(self, state: TrainingState) -> None:
        """Save all that is needed to continue."""

    def stopped(self, signal_number: int, progress: Progress) -> None:
        """Say that a signal has ended the training."""


class RunRecorder(Recorder):
    """Keeps everything in a run folder.

    Attributes:
        epochs: those that are done, oldest first.
        visual: VisualDL's records.
    """

    def __init__(self, run: RunFolder, lists: str, epochs_done: int) -> None:
        """Open the history of a run folder; what lies beyond `epochs_done` is forgotten.

        Args:
            run: the folder.
            lists: fingerprint of the lists.
            epochs_done: number of epochs of the training that is continued.
        """
        self._run, self._lists = run, lists
        self.epochs = [epoch for epoch in run.epochs() if epoch.epoch <= epochs_done]
        write_text(run.history_file, "".join(epoch.line() for epoch in self.epochs))
        self.visual = VisualRecords(run.path / "visualdl")

    def progress_bar(self, total: int, done: int) -> "tqdm[Any]":
        """Return a bar over the photos of the whole training, where somebody can see it."""
        return tqdm(total=total, initial=done, unit="photo", desc="training", leave=False,
                    disable=not sys.stderr.isatty())  # fmt: skip

    @contextmanager
    def last_good_named(self) -> Iterator[None]:
        """Let a `UserError` inside say which checkpoint is the last good one."""
        try:
            yield
        except UserError as error:
            saved = [str(file) for file in (self._run.last, self._run.previous) if file.exists()]
            good = f"the last good checkpoint is {saved[0]}" if saved else "no checkpoint was saved yet"
            raise UserError(f"{error}; {good}") from None

    def add(self, epoch: Epoch, state: TrainingState) -> None:
        """Append an epoch to the history, show it, and save its weights if they are the best so far."""
        self.epochs.append(epoch)
        with self._run.history_file.open("a", encoding="utf-8") as file:
            file.write(epoch.line())
            file.flush()
            os.fsync(file.fileno())
        self.visual.add_epoch(epoch)
        keep = state.progress.best_epoch == epoch.epoch
        log.info("%s", epoch_line(epoch, state.config.epochs, keep))
        if keep:
            state.save_model(self._run)
        if epoch.epoch % max(1, state.config.epochs // HISTOGRAMS) == 0:
            self.visual.add_histograms(weights_of(state.model), epoch.epoch)

    def save(self, state: TrainingState) -> None:
        """Write the checkpoint to continue from."""
        state.save(self._run, self._lists)

    def stopped(self, signal_number: int, progress: Progress) -> None:
        """Say that a signal has ended the training, and how to continue."""
        log.info("%s", stopped(signal_number, self._run, progress))

    def close(self) -> None:
        """Flush VisualDL's records."""
        self.visual.close()
