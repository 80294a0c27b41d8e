"""The training loop: batches, one step, one epoch.

Everything random is a function of (seed, epoch, step): the order of the photos, their augmentation and
dropout. So a checkpoint needs no random states, and a run that was stopped anywhere and resumed ends with
the same weights, bit for bit, as one that was not.

Several processes (see `distributed`) see the same photos in the same steps, each its share of them. The loss
of a step is the mean over all; dropout and the statistics of BatchNorm are those of each share.
"""

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

from paddle_wrn.config import Config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.augmentation import augment
from paddle_wrn.photos.loading import Photos
from paddle_wrn.scoring import metrics
from paddle_wrn.system.signals import Stop
from paddle_wrn.training.batches import prepared_ahead, shuffled_batches, steps_per_epoch
from paddle_wrn.training.optimization import learning_rate
from paddle_wrn.training.processes import Processes
from paddle_wrn.training.state import TrainingState


@dataclass(frozen=True)
class Batch:
    """What one step of one process needs.

    Attributes:
        images: (N, 3, S, S) float32.
        labels: (N,) int64.
        dropout_seed: for the random choices of dropout.
        photos: of this step, in all processes together.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    dropout_seed: int
    photos: int


def training_batches(state: TrainingState, photos: Photos) -> Generator[Batch]:
    """Yield what remains of the training, shuffled and augmented, epoch after epoch.

    Each batch is prepared ahead: that of an epoch's first step while the last epoch is validated.
    """
    config = state.config

    def prepare(epoch: int, step: int, indices: NDArray[np.int64]) -> Batch:
        rng = np.random.default_rng([config.seed, epoch, step])
        dropout_seed = (int(rng.integers(2**31)) + state.processes.rank) % 2**31
        own = state.processes.share(len(indices))
        images = augment(photos.images[indices], config.augment, rng)[own]
        labels = photos.labels[indices[own]]
        return Batch(state.preprocessing.normalise(images), labels, dropout_seed, len(indices))

    def jobs(epoch: int, first: int) -> Iterator[Callable[[], Batch]]:
        while epoch < config.epochs:
            for step, indices in shuffled_batches(
                len(photos), config.batch_size, config.drop_last, config.seed, epoch, first
            ):
                yield partial(prepare, epoch, step, indices)
            epoch, first = epoch + 1, 0

    return prepared_ahead(jobs(state.progress.epoch, state.progress.step))


def train_step(state: TrainingState, batch: Batch, stop: Stop | None = None) -> bool:
    """Take one optimizer step and count it in `state.progress`.

    Args:
        state: network and progress.
        batch: this process' share of the photos.
        stop: whether this process was asked to stop.

    Returns:
        Whether any process was, which the one exchange of a step tells along with the gradients.

    Raises:
        UserError: the loss is not finite.
    """
    progress, processes = state.progress, state.processes
    paddle.seed(batch.dropout_seed)
    with paddle.amp.auto_cast(enable=state.scaler.is_enable()):
        logits = state.forward(paddle.to_tensor(batch.images))
    logits = logits.astype("float32")
    labels = paddle.to_tensor(batch.labels)
    loss = F.cross_entropy(logits, labels, label_smoothing=state.config.label_smoothing)
    loss = loss * (len(batch.labels) / batch.photos)  # over all processes, the mean of the whole batch
    state.scaler.scale(loss).backward()
    hits = int((logits.numpy().argmax(axis=1) == batch.labels).sum())
    asked = stop is not None and stop.signal is not None
    figures = paddle.to_tensor([loss.item(), float(hits), float(asked)])
    processes.add_up([figures, *(p.grad for p in state.model.parameters() if p.grad is not None)])
    mean_loss, correct, stops = figures.tolist()
    if not math.isfinite(mean_loss):
        raise _diverged(state, progress.step + 1, f"the loss is {mean_loss}")
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.clear_grad()
    progress.step += 1
    progress.seen += batch.photos
    progress.correct += int(correct)
    progress.loss_sum += mean_loss * batch.photos
    return stops > 0


def train_epoch(
    state: TrainingState, batches: Iterator[Batch], steps: int, stop: Stop, bar: "tqdm[Any]"
) -> None:
    """Train to the end of the epoch, which has so many steps, or until `stop` is set on any process."""
    config, progress = state.config, state.progress
    state.train_mode()
    for batch in islice(batches, steps - progress.step):
        moment = progress.epoch + (progress.step + 0.5) / steps
        state.optimizer.set_lr(learning_rate(config.schedule, config.optimizer.lr, moment, config.epochs))
        stops = train_step(state, batch, stop)
        bar.update(batch.photos)
        bar.set_postfix(
            loss=f"{progress.loss_sum / progress.seen:.3f}", acc=f"{progress.correct / progress.seen:.3f}"
        )
        if stops:
            break
    average_running_statistics(state)


def average_running_statistics(state: TrainingState) -> None:
    """Give every process the mean of all processes' running statistics.

    These are linear in the statistics of the steps, so it makes no difference when that is done.
    """
    learning = [layer for layer in state.model.sublayers(include_self=True) if layer.training]
    own = [tensor for layer in learning
           for tensor in (*layer.parameters(include_sublayers=False), *layer.buffers(include_sublayers=False))
           if tensor.stop_gradient and tensor.dtype == paddle.float32]  # fmt: skip
    state.processes.add_up(own, 1 / state.processes.count)


def refuse_small_batches(config: Config, photos: int, processes: Processes) -> None:
    """Raise `UserError` if a batch of an epoch has fewer photos than there are processes."""
    steps = steps_per_epoch(photos, config.batch_size, config.drop_last)
    smallest = min(config.batch_size, photos - (steps - 1) * config.batch_size)
    if smallest < processes.count:
        raise UserError(
            f"batch_size: found {config.batch_size}, so that a batch of the {photos} photos has only "
            f"{smallest}; each of the {processes.count} processes needs one at least"
        )


def _diverged(state: TrainingState, step: int, what: str) -> UserError:
    return UserError(
        f"epoch {state.progress.epoch + 1}, step {step}: {what}; "
        f"train with a lower --optimizer.lr (it was {state.config.optimizer.lr:g})"
    )


def refuse_ruined_weights(state: TrainingState) -> None:
    """Raise `UserError` if the last step, whose loss nobody sees before it is saved, left no numbers."""
    if not all(bool(paddle.isfinite(value).all()) for value in state.model.state_dict().values()):
        raise _diverged(state, state.progress.step, "the weights are not finite")


def finish_epoch(state: TrainingState, val: Photos | None) -> tuple[dict[str, Any], bool]:
    """Validate, close the epoch in `state.progress` and judge it.

    Returns:
        The epoch's line of the history, and whether its weights are the ones to keep.

    Raises:
        UserError: the validation loss is not finite.
    """
    progress = state.progress
    epoch = {
        "epoch": progress.epoch + 1,
        "lr": state.optimizer.get_lr(),
        "train_loss": progress.loss_sum / progress.seen,
        "train_acc": progress.correct / progress.seen,
        "val_loss": None,
        "val_acc": None,
    }
    keep = val is None or state.config.selection == "last"
    if val is not None:
        logits = _shared_logits(state, val)
        epoch["val_loss"] = metrics.cross_entropy(logits, val.labels)
        if not math.isfinite(epoch["val_loss"]):
            raise _diverged(state, progress.step, f"the validation loss is {epoch['val_loss']}")
        epoch["val_acc"] = metrics.accuracy(logits, val.labels)
        keep = keep or epoch["val_acc"] >= progress.best_acc
        if keep:
            progress.best_acc = epoch["val_acc"]
    progress.epoch += 1
    progress.step = progress.seen = progress.correct = 0
    progress.loss_sum = 0.0
    if keep:
        progress.best_epoch = progress.epoch
    return epoch, keep


def _shared_logits(state: TrainingState, photos: Photos) -> NDArray[np.float32]:
    """Return (N, classes) logits; every process computes those of its share of the photos."""
    logits = np.zeros((len(photos), len(state.preprocessing.classes)), np.float32)
    own = state.processes.share(len(photos))
    if own.start < own.stop:
        logits[own] = state.classifier.logits(photos.images[own])
    return state.processes.sum(logits)
