"""What happened in a run, epoch by epoch: `history.jsonl`, one JSON object a line."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from paddle_wrn.system.records import Record


class Epoch(Record):
    """One pass over the training photos.

    Attributes:
        epoch: its number, from 1.
        lr: learning rate of its last step.
        train_loss: mean cross-entropy of the photos as they were met, augmented, nats.
        train_acc: share of them that was named rightly, 0..1.
        val_loss: mean cross-entropy of the validation photos, nats; None without such photos.
        val_acc: share of them that was named rightly, 0..1.
        images_per_second: training photos a second, without validation.
        seconds: of training and validation.
    """

    epoch: int
    lr: float
    train_loss: float
    train_acc: float
    val_loss: float | None
    val_acc: float | None
    images_per_second: float
    seconds: float


def read_epochs(file: Path) -> list[Epoch]:
    """Return the epochs of a `history.jsonl`, oldest first; a last line that was cut short is left out."""
    try:
        lines = file.read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    epochs = []
    for line in lines:
        try:
            epochs.append(Epoch.model_validate_json(line))
        except ValidationError:  # the process was killed while it wrote this line
            break
    return epochs


def points(epochs: Sequence[Epoch], what: str) -> dict[str, list[tuple[float, float]]]:
    """Return `train` and `val` -> (epoch, value), as far as there are values.

    Args:
        epochs: oldest first.
        what: `loss` or `acc`.
    """
    return {
        split: [
            (epoch.epoch, value)
            for epoch in epochs
            if (value := getattr(epoch, f"{split}_{what}")) is not None
        ]
        for split in ("train", "val")
    }
