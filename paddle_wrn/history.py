"""What happened in a run: one JSON object an epoch, and VisualDL records beside it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.checkpoint import Arrays, write_text

Epoch = dict[str, Any]


class History:
    """The epochs of a run, on disk as `history.jsonl` and in VisualDL.

    Attributes:
        epochs: one dictionary an epoch, oldest first.
    """

    def __init__(self, run: Path, epochs_done: int) -> None:
        """Open the history of a run folder; epochs beyond `epochs_done` are forgotten."""
        from visualdl import LogWriter

        self._file = run / "history.jsonl"
        self.epochs = [epoch for epoch in read_history(run) if epoch["epoch"] <= epochs_done]
        write_text(self._file, "".join(_line(epoch) for epoch in self.epochs))
        (run / "visualdl").mkdir(exist_ok=True)
        self._writer = LogWriter(str(run / "visualdl"), file_name="vdlrecords.paddle_wrn.log")

    def add(self, epoch: Epoch) -> None:
        """Append one epoch; its numbers become scalars in VisualDL."""
        self.epochs.append(epoch)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(epoch))
            file.flush()
            os.fsync(file.fileno())
        for name, tag in (
            ("train_loss", "loss/train"),
            ("val_loss", "loss/val"),
            ("train_acc", "accuracy/train"),
            ("val_acc", "accuracy/val"),
            ("lr", "learning rate"),
            ("images_per_second", "speed/images per second"),
        ):
            if epoch.get(name) is not None:
                self._writer.add_scalar(tag, epoch[name], epoch["epoch"])

    def add_image(self, tag: str, image: NDArray[np.uint8], step: int) -> None:
        """Show a picture in VisualDL. Shape: (H, W, 3) uint8."""
        self._writer.add_image(tag, image, step)

    def add_histograms(self, weights: Arrays, step: int) -> None:
        """Show how the weights of convolutions and linear layers are distributed."""
        for name, values in weights.items():
            if values.ndim > 1:
                self._writer.add_histogram(name, values.ravel(), step, buckets=40)

    def close(self) -> None:
        """Flush VisualDL's records."""
        self._writer.close()


def read_history(run: Path) -> list[Epoch]:
    """Return the epochs of a run folder; a last line that was cut short is left out."""
    file = run / "history.jsonl"
    if not file.is_file():
        return []
    epochs = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            epochs.append(json.loads(line))
        except ValueError:  # the process was killed while it wrote this line
            break
    return epochs


def _line(epoch: Epoch) -> str:
    return json.dumps(epoch) + "\n"
