"""The sentences of a training: what it begins with, how an epoch went, that nothing is left to do."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_wrn.config import Config
from paddle_wrn.models.summary import Summary
from paddle_wrn.photos.lists import DataFolder
from paddle_wrn.photos.loading import Photos
from paddle_wrn.system.console import command_line, log
from paddle_wrn.system.device import Device
from paddle_wrn.training.state import Progress, TrainingState


def introduce(
    config: Config,
    device: Device,
    folder: DataFolder,
    lists: Mapping[str, Photos],
    summary: Summary,
    state: TrainingState,
    run: Path,
) -> None:
    """Log device, data, network and run folder."""
    log.info("device    %s (%s)", device.name, device.reason)
    if state.processes.count > 1:
        log.info("processes %d, each takes its share of every batch", state.processes.count)
    if config.amp and not device.is_gpu:
        log.info("          amp is on, but mixed precision does nothing on the processor")
    counts = ", ".join(f"{len(photos)} {name}" for name, photos in lists.items())
    log.info("data      %s: %s photos, %d classes", folder.folder, counts, len(folder.classes.names))
    if "val" not in lists:
        log.info("          no val.txt: the last epoch is kept, since nothing can be chosen by")
    log.info("network   %s\n%s", config.model.name, summary)
    if config.model.weights is not None and not (state.progress.epoch or state.progress.step):
        log.info("start     %s", state.origin)
    if config.model.trainable == "head":
        log.info("          only the last linear layer learns")
    log.info("run       %s", run)
    log.info("          watch it: %s", command_line("board", run))
    if state.progress.epoch or state.progress.step:
        log.info("resumed   after epoch %d, step %d", state.progress.epoch, state.progress.step)


def epoch_line(epoch: Mapping[str, Any], epochs: int, keep: bool) -> str:
    """Return the line of an epoch that is done."""
    val = ""
    if epoch["val_acc"] is not None:
        val = f"  val loss {epoch['val_loss']:.4f} acc {epoch['val_acc']:.3f}{' (kept)' if keep else ''}"
    return (
        f"epoch {epoch['epoch']:{len(str(epochs))}}/{epochs}  lr {epoch['lr']:.4g}  "
        f"train loss {epoch['train_loss']:.4f} acc {epoch['train_acc']:.3f}{val}  "
        f"{epoch['images_per_second']:.0f} photos/s"
    )


def stopped(signal_number: int, run: Path, progress: Progress) -> str:
    """Return what is said when a signal has ended a training, and how to continue."""
    name = signal.Signals(signal_number).name
    return (
        f"stopped by {name} after epoch {progress.epoch}, step {progress.step}; "
        f"everything is saved. Continue with:\n"
        f"  {command_line('train', '--resume', '--output', run)}"
    )


def not_again(run: Path, finished: Mapping[str, Any]) -> str:
    """Return what is said of a run that is trained already."""
    split = next((split for split in ("test", "val") if split in finished), None)
    accuracy = "" if split is None else f" ({split} accuracy {finished[split]['accuracy']:.3f})"
    return f"{run}: trained already{accuracy}, so nothing is done; to train it again, add --again"
