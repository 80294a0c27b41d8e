"""Training of a head alone: the features of each photo once, then the head in one go.

The backbone is frozen, so its features of a photo never change; `answering.features` keeps them on disk. What
takes the time is left where it was if the training is stopped: the same command continues it.
"""

import sys
import time
from collections.abc import Mapping

import paddle
from paddle import nn
from tqdm import tqdm

from paddle_wrn.answering.feature_store import FeatureStore
from paddle_wrn.answering.features import Features, backbone_key, features_of_list
from paddle_wrn.models.transfer import head_of
from paddle_wrn.photos.lists import PhotoList
from paddle_wrn.photos.splitting.record import duplicate_numbers
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.scoring.metrics import accuracy, cross_entropy
from paddle_wrn.system.console import log
from paddle_wrn.system.signals import Stopped, stop_signals
from paddle_wrn.training.head import Head, HeadFit, choose_strength
from paddle_wrn.training.recording import Recorder
from paddle_wrn.training.setup import Setup
from paddle_wrn.training.state import TrainingState


def train_head(setup: Setup, state: TrainingState, recorder: Recorder) -> dict[str, Features]:
    """Compute the features of all lists and fit the head to those of the training photos.

    Args:
        setup: of the training.
        state: its network gets the head, unless it has it already.
        recorder: keeps what happens.

    Returns:
        list -> (N, F) features.

    Raises:
        UserError: a photo is broken, or there is no room for features.
        Stopped: Ctrl-C or SIGTERM came; features that were computed are kept.
    """
    began = time.perf_counter()
    features = _features(setup, state, recorder, setup.lists)
    if not state.progress.epoch:  # else it was fitted before
        head = _fit(setup, state, features["train"])
        _close_epoch(setup, state, recorder, features, head, time.perf_counter() - began)
    return features


def fit_head_first(setup: Setup, state: TrainingState, recorder: Recorder) -> None:
    """Give the network a head that suits its features, before all layers learn.

    A fresh head would first of all spoil the features (A. Kumar et al., "Fine-Tuning can Distort Pretrained
    Features and Underperform Out-of-Distribution", ICLR 2022).

    Args:
        setup: of the training.
        state: its network gets the head.
        recorder: hears of a signal.

    Raises:
        UserError, Stopped: as of `train_head`.
    """
    features = _features(setup, state, recorder, {"train": setup.lists["train"]})
    _fit(setup, state, features["train"])


def _fit(setup: Setup, state: TrainingState, features: Features) -> Head:
    train = setup.lists["train"]
    groups = duplicate_numbers(setup.folder.folder, [path.absolute() for path in train.paths])
    strength = choose_strength(features, train.labels, groups)
    head = HeadFit(features, train.labels, len(setup.folder.classes.names)).head(strength)
    log.info("head      fitted to %d photos; its strength of %g was chosen by cross-validation",
             len(train), strength)  # fmt: skip
    put_head(state.model, head)
    return head


def _features(
    setup: Setup, state: TrainingState, recorder: Recorder, lists: Mapping[str, PhotoList]
) -> dict[str, Features]:
    store = FeatureStore(backbone_key(state.classifier))
    photos = sum(map(len, lists.values()))
    with (
        tqdm(
            total=photos, unit="photo", desc="features", leave=False, disable=not sys.stderr.isatty()
        ) as bar,
        stop_signals() as stop,
    ):

        def done(count: int) -> None:
            bar.update(count)
            if stop.signal is not None:
                recorder.stopped(stop.signal, state.progress)
                raise Stopped(stop.signal)

        return {name: features_of_list(state.classifier, part, store, done) for name, part in lists.items()}


def put_head(model: nn.Layer, head: Head) -> None:
    """Put a fitted head into a network."""
    layer = dict(model.named_sublayers())[head_of(model)]
    layer.weight.set_value(paddle.to_tensor(head.weight))
    layer.bias.set_value(paddle.to_tensor(head.bias))


def head_in(model: nn.Layer) -> Head:
    """Return the head of a network."""
    layer = dict(model.named_sublayers())[head_of(model)]
    return Head(layer.weight.numpy(), layer.bias.numpy())


def _close_epoch(
    setup: Setup,
    state: TrainingState,
    recorder: Recorder,
    features: Mapping[str, Features],
    head: Head,
    seconds: float,
) -> None:
    """Count the fit as the one epoch of the run, and save."""
    progress = state.progress
    figures: dict[str, float | None] = {"val_loss": None, "val_acc": None}
    for name in ("train", "val"):
        if name in features:
            logits, labels = head.logits(features[name]), setup.lists[name].labels
            figures |= {
                f"{name}_loss": cross_entropy(logits, labels),
                f"{name}_acc": accuracy(logits, labels),
            }
    photos = sum(map(len, features.values()))
    progress.epoch = progress.best_epoch = 1
    progress.best_acc = figures["val_acc"] if figures["val_acc"] is not None else -1.0
    progress.seconds += seconds
    epoch = Epoch.model_validate(
        {"epoch": 1, "lr": 0.0, "images_per_second": photos / seconds, "seconds": seconds} | figures
    )
    recorder.add(epoch, state)
    recorder.save(state)
