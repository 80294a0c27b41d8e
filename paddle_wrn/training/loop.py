"""The training loop: all epochs, one epoch, one step.

Everything random is a function of (seed, epoch, step): the order of the photos, their augmentation and
dropout. So a checkpoint needs no random states, and a run that was stopped anywhere and resumed ends with
the same weights, bit for bit, as one that was not.

Several processes (see `processes`) see the same photos in the same steps, each its share of them. The loss
of a step is the mean over all; dropout and the statistics of BatchNorm are those of each share.
"""

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

from paddle_wrn.errors import UserError
from paddle_wrn.photos.loading import Photos
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.scoring import metrics
from paddle_wrn.system.signals import Stop, Stopped, stop_signals
from paddle_wrn.training.batches import Batch, steps_per_epoch, training_batches
from paddle_wrn.training.optimization import learning_rate
from paddle_wrn.training.recording import Recorder
from paddle_wrn.training.state import TrainingState

Bar: TypeAlias = "tqdm[Any]"


@dataclass(frozen=True)
class Pace:
    """How long the steps of an epoch, or of what was left of it, have taken.

    Attributes:
        photos: that were trained on.
        seconds: that it took.
    """

    photos: int
    seconds: float


def train_epochs(state: TrainingState, photos: Photos, val: Photos | None, recorder: Recorder) -> None:
    """Train from where `state` stands to the last epoch; validate and save after each.

    Args:
        state: network, optimizer and progress.
        photos: to learn from.
        val: to validate with, if there are any.
        recorder: keeps what happens.

    Raises:
        UserError: loss or weights are not finite; the last good checkpoint is named.
        Stopped: Ctrl-C or SIGTERM came; all that was done is saved.
    """
    config, progress, processes = state.config, state.progress, state.processes
    steps = steps_per_epoch(len(photos), config.batch_size, config.drop_last)
    an_epoch = min(len(photos), steps * config.batch_size)  # photos
    batches = training_batches(state, photos)
    bar = recorder.progress_bar(config.epochs * an_epoch, progress.epoch * an_epoch + progress.seen)
    with bar, closing(batches), stop_signals(launched=processes.count > 1) as stop:
        while progress.epoch < config.epochs:
            with recorder.last_good_named():
                pace = train_epoch(state, batches, steps, stop, bar)
                epoch = finish_epoch(state, val, pace) if progress.step == steps else None
            if epoch is not None:
                recorder.add(epoch, state)
            recorder.save(state)
            processes.wait()
            number = processes.largest(stop.signal or 0)
            if number and progress.epoch < config.epochs:
                recorder.stopped(number, progress)
                raise Stopped(number)


def train_epoch(state: TrainingState, batches: Iterator[Batch], steps: int, stop: Stop, bar: Bar) -> Pace:
    """Train to the end of the epoch, which has so many steps, or until `stop` is set on any process.

    Raises:
        UserError: loss or weights are not finite.
    """
    began, seen_before = time.perf_counter(), state.progress.seen
    config, progress = state.config, state.progress
    state.model.train()
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
    _refuse_ruined_weights(state)
    pace = Pace(progress.seen - seen_before, time.perf_counter() - began)
    progress.seconds += pace.seconds
    return pace


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


def finish_epoch(state: TrainingState, val: Photos | None, pace: Pace) -> Epoch:
    """Validate, close the epoch in `state.progress` and say there whether its weights are the ones to keep.

    Raises:
        UserError: the validation loss is not finite.
    """
    began, progress = time.perf_counter(), state.progress
    train_loss, train_acc = progress.loss_sum / progress.seen, progress.correct / progress.seen
    val_loss, val_acc = None, None
    keep = val is None or state.config.selection == "last"
    if val is not None:
        logits = _shared_logits(state, val)
        val_loss, val_acc = metrics.cross_entropy(logits, val.labels), metrics.accuracy(logits, val.labels)
        if not math.isfinite(val_loss):
            raise _diverged(state, progress.step, f"the validation loss is {val_loss}")
        keep = keep or val_acc >= progress.best_acc
        if keep:
            progress.best_acc = val_acc
    progress.epoch += 1
    progress.step = progress.seen = progress.correct = 0
    progress.loss_sum = 0.0
    if keep:
        progress.best_epoch = progress.epoch
    validating = time.perf_counter() - began
    progress.seconds += validating
    return Epoch(
        epoch=progress.epoch,
        lr=state.optimizer.get_lr(),
        train_loss=train_loss,
        train_acc=train_acc,
        val_loss=val_loss,
        val_acc=val_acc,
        images_per_second=pace.photos / pace.seconds,
        seconds=pace.seconds + validating,
    )


def average_running_statistics(state: TrainingState) -> None:
    """Give every process the mean of all processes' running statistics.

    These are linear in the statistics of the steps, so it makes no difference when that is done.
    """
    learning = [layer for layer in state.model.sublayers(include_self=True) if layer.training]
    own = [tensor for layer in learning
           for tensor in (*layer.parameters(include_sublayers=False), *layer.buffers(include_sublayers=False))
           if tensor.stop_gradient and tensor.dtype == paddle.float32]  # fmt: skip
    state.processes.add_up(own, 1 / state.processes.count)


def _shared_logits(state: TrainingState, photos: Photos) -> NDArray[np.float32]:
    """Return (N, classes) logits; every process computes those of its share of the photos."""
    logits = np.zeros((len(photos), len(state.preprocessing.classes)), np.float32)
    own = state.processes.share(len(photos))
    if own.start < own.stop:
        logits[own] = state.classifier.logits(photos.images[own])
    return state.processes.sum(logits)


def _refuse_ruined_weights(state: TrainingState) -> None:
    """Raise `UserError` if the last step, whose loss nobody sees before it is saved, left no numbers."""
    if not all(bool(paddle.isfinite(value).all()) for value in state.model.state_dict().values()):
        raise _diverged(state, state.progress.step, "the weights are not finite")


def _diverged(state: TrainingState, step: int, what: str) -> UserError:
    return UserError(
        f"epoch {state.progress.epoch + 1}, step {step}: {what}; "
        f"train with a lower --optimizer.lr (it was {state.config.optimizer.lr:g})"
    )
