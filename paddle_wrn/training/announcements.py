"""The sentences of a training: what it begins with, how an epoch went, that nothing is left to do."""

import signal

from paddle_wrn.models.summary import Summary
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.runs.results import Results
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.console import command_line, log
from paddle_wrn.training.setup import Setup
from paddle_wrn.training.state import Progress, TrainingState


def introduce(setup: Setup, state: TrainingState, summary: Summary) -> None:
    """Log device, data, network and run folder."""
    config, progress = setup.config, state.progress
    log.info("device    %s (%s)", setup.device.name, setup.device.reason)
    if setup.processes.count > 1:
        log.info("processes %d, each takes its share of every batch", setup.processes.count)
    if config.amp and not setup.device.is_gpu:
        log.info("          amp is on, but mixed precision does nothing on the processor")
    counts = ", ".join(f"{len(part)} {name}" for name, part in setup.lists.items())
    folder = setup.folder
    log.info("data      %s: %s photos, %d classes", folder.folder, counts, len(folder.classes.names))
    if "val" not in setup.lists:
        log.info("          no val.txt: the last epoch is kept, since nothing can be chosen by")
    log.info("network   %s\n%s", config.model.name, summary)
    if config.model.weights is not None and state.fresh:
        log.info("start     %s", state.origin)
    if config.model.trainable == "head":
        log.info("          only the last linear layer learns")
    log.info("run       %s", setup.run)
    log.info("          watch it: %s", command_line("board", setup.run))
    if not state.fresh:
        log.info("resumed   after epoch %d, step %d", progress.epoch, progress.step)


def epoch_line(epoch: Epoch, epochs: int, keep: bool) -> str:
    """Return the line of an epoch that is done."""
    val = ""
    if epoch.val_acc is not None:
        val = f"  val loss {epoch.val_loss:.4f} acc {epoch.val_acc:.3f}{' (kept)' if keep else ''}"
    return (
        f"epoch {epoch.epoch:{len(str(epochs))}}/{epochs}  lr {epoch.lr:.4g}  "
        f"train loss {epoch.train_loss:.4f} acc {epoch.train_acc:.3f}{val}  "
        f"{epoch.images_per_second:.0f} photos/s"
    )


def stopped(signal_number: int, run: RunFolder, progress: Progress) -> str:
    """Return what is said when a signal has ended a training, and how to continue."""
    name = signal.Signals(signal_number).name
    return (
        f"stopped by {name} after epoch {progress.epoch}, step {progress.step}; "
        f"everything is saved. Continue with:\n"
        f"  {command_line('train', '--resume', '--output', run)}"
    )


def not_again(run: RunFolder, finished: Results) -> str:
    """Return what is said of a run that is trained already."""
    found = finished.test or finished.val
    split = "val" if finished.test is None else "test"
    accuracy = "" if found is None else f" ({split} accuracy {found.accuracy:.3f})"
    return f"{run}: trained already{accuracy}, so nothing is done; to train it again, add --again"
