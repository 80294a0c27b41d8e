"""A training in the middle of its work: what a checkpoint must remember to continue."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import safetensors.numpy
from paddle import nn

from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.config import Config
from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.transfer import freeze_backbone, start_from, start_pretrained
from paddle_wrn.models.weights import Arrays, put_weights, weights_of
from paddle_wrn.native import accelerate
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.checkpoint import load_checkpoint, save_checkpoint
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.training.optimization import make_optimizer
from paddle_wrn.training.processes import ALONE, Processes

PRETRAINED = "pretrained"  # as `model.weights`: those for ImageNet


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: epochs finished.
        step: steps done of the epoch after those.
        seen: photos of those steps.
        correct: of them, classified rightly as they were met (augmented, before the step).
        loss_sum: sum of their losses.
        seconds: time spent so far, in training and validating.
        best_epoch: the epoch whose weights are kept, 0 if none yet.
        best_acc: its validation accuracy, 0..1; of equal epochs the latest is kept.
    """

    epoch: int = 0
    step: int = 0
    seen: int = 0
    correct: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    best_acc: float = -1.0


@dataclass
class TrainingState:
    """Network, optimizer and progress of one run; `forward` computes what `model` computes, only faster."""

    config: Config
    preprocessing: Preprocessing
    model: nn.Layer
    forward: Callable[[paddle.Tensor], paddle.Tensor]
    optimizer: paddle.optimizer.Optimizer
    scaler: paddle.amp.GradScaler
    progress: Progress
    processes: Processes = ALONE
    restored: Arrays = field(default_factory=dict)  # until `take_from_first`
    origin: str = "random weights"  # or what was loaded in their place, for people

    @property
    def fresh(self) -> bool:
        """Whether no step has been taken yet."""
        return not (self.progress.epoch or self.progress.step)

    @property
    def classifier(self) -> Classifier:
        """The network with its contract, as it is evaluated and kept."""
        return Classifier(self.model, self.preprocessing, self.forward)

    def save(self, run: RunFolder, lists: str) -> None:
        """Write `last`; what was `last` becomes `previous`, so one of the two is whole at any moment.

        Args:
            run: the folder.
            lists: fingerprint of the lists.
        """
        waiting = run.last.with_name("next.safetensors")
        save_checkpoint(waiting, self._arrays(), {"kind": "training", "data": lists} | self._record())
        if run.last.exists():
            os.replace(run.last, run.previous)
        os.replace(waiting, run.last)

    def take_from_first(self) -> None:
        """Let every process continue with the weights and the progress of the first."""
        # Before its first step, Paddle 2.6's optimizer does not give back what it was given.
        arrays, self.restored = self.restored, {}
        if self.processes.count == 1:
            return
        record = self.processes.first(self._record)
        content = safetensors.numpy.save(arrays or self._arrays()) if self.processes.is_first else b""
        content = self.processes.broadcast(content)
        if not self.processes.is_first:
            self._take(safetensors.numpy.load(content), record, "the first process")

    def save_model(self, run: RunFolder) -> None:
        """Write `best`: the weights with all that is needed to use them."""
        record = {
            "kind": "model",
            "model": {"name": self.config.model.name, "options": self.config.model.options},
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "settings": self.config.model_dump(mode="json", exclude={"data", "device"}),
            "epoch": self.progress.epoch,
        }
        save_checkpoint(run.best, weights_of(self.model), record)

    def restore(self, run: RunFolder, lists: str) -> list[str]:
        """Continue from `last`, or from `previous` if `last` is damaged; without either, begin.

        Returns:
            A sentence for each file that could not be used.

        Raises:
            UserError: both are damaged, or belong to other lists or another network; or the weights to
                begin with do not fit.
        """
        complaints = []
        for file in (run.last, run.previous):
            if not file.exists():
                continue
            try:
                arrays, record = load_checkpoint(file, "training")
            except UserError as error:
                complaints.append(str(error))
                continue
            if record["data"] != lists:
                raise UserError(
                    f"{run}: the lists have changed since this run began; "
                    "start a new one in another --output folder"
                )
            self._take(arrays, record, file)
            self.restored = arrays
            if complaints:  # the next save must not put the damaged `last` in the place of this one
                run.last.unlink()
            return complaints
        if complaints:
            raise UserError(" and ".join(complaints))
        self.begin()
        return []

    def begin(self) -> None:
        """Load the weights to begin with, where the configuration names some.

        Raises:
            UserError: they are missing, or do not fit.
        """
        weights = self.config.model.weights
        if weights == PRETRAINED:
            self.origin = start_pretrained(self.model, self.config.model.name)
        elif weights is not None:
            self.origin = start_from(self.model, weights)

    def _arrays(self) -> Arrays:
        optimizer = {k: v for k, v in self.optimizer.state_dict().items() if isinstance(v, paddle.Tensor)}
        arrays = _prefixed("model/", weights_of(self.model))
        arrays |= _prefixed("optimizer/", {k: np.ascontiguousarray(v.numpy()) for k, v in optimizer.items()})
        return arrays

    def _record(self) -> dict[str, Any]:
        return {
            "progress": asdict(self.progress),
            "scaler": {name: _plain(value) for name, value in self.scaler.state_dict().items()},
        }

    def _take(self, arrays: Arrays, record: dict[str, Any], source: Path | str) -> None:
        put_weights(self.model, _without_prefix("model/", arrays), source)
        accumulators = _without_prefix("optimizer/", arrays)
        self.optimizer.set_state_dict({name: paddle.to_tensor(value) for name, value in accumulators.items()})
        if record["scaler"]:
            self.scaler.load_state_dict(record["scaler"])
        self.progress = Progress(**record["progress"])


def new_state(config: Config, preprocessing: Preprocessing, processes: Processes = ALONE) -> TrainingState:
    """Build network and optimizer for a configuration, with weights drawn from its seed.

    Other weights to begin with are loaded by `restore`: only when there is nothing to continue.
    """
    paddle.seed(config.seed)
    model = create_model(config.model.name, len(preprocessing.classes), **config.model.options)
    if config.model.trainable == "head":
        freeze_backbone(model)
    return TrainingState(
        config,
        preprocessing,
        model,
        accelerate(model),
        make_optimizer(config.optimizer, model),
        paddle.amp.GradScaler(enable=config.amp and paddle.get_device().startswith("gpu")),
        Progress(),
        processes,
    )


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {prefix + name: value for name, value in arrays.items()}


def _without_prefix(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
