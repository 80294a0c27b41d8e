"""How weights move: learning rate, optimizer, moving average."""

import copy
import math

import paddle
from paddle import nn

from paddle_wrn.config import OptimizerConfig, ScheduleConfig


def learning_rate(schedule: ScheduleConfig, peak: float, epoch: float, epochs: int) -> float:
    """Return the learning rate at a moment of the run.

    Args:
        schedule: its shape.
        peak: highest learning rate.
        epoch: epochs done so far, with the fraction of the current one.
        epochs: length of the run.
    """
    warmup = schedule.warmup * epochs
    if epoch < warmup:
        return peak * epoch / warmup
    if schedule.name == "step":
        return peak * schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones)
    if schedule.name == "cosine":
        progress = (epoch - warmup) / (epochs - warmup)
        return peak * 0.5 * (1 + math.cos(math.pi * progress))
    return peak


def make_optimizer(config: OptimizerConfig, model: nn.Layer) -> paddle.optimizer.Optimizer:
    """Build Paddle's optimizer over the trainable parameters.

    Weight decay acts on weights of convolutions and linear layers; on BatchNorm's parameters and biases
    only with `decay_all`.
    """
    trainable = [p for p in model.parameters() if not p.stop_gradient]
    decayed = [p for p in trainable if config.decay_all or p.ndim > 1]
    others = [p for p in trainable if not (config.decay_all or p.ndim > 1)]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    if config.name == "sgd":
        return paddle.optimizer.Momentum(
            config.lr, config.momentum, parameters=groups, use_nesterov=config.nesterov
        )
    kinds = {"adam": paddle.optimizer.Adam, "adamw": paddle.optimizer.AdamW}
    return kinds[config.name](config.lr, parameters=groups)


class MovingAverage:
    """An exponential moving average of a network's weights and running statistics.

    Attributes:
        model: a network of the same build that holds the average.
    """

    def __init__(self, model: nn.Layer, decay: float) -> None:
        self.model = copy.deepcopy(model)
        self._decay = decay
        self._pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))

    @paddle.no_grad()
    def update(self, steps: int) -> None:
        """Move towards the current weights; faster at first, when those are still nearly random.

        Args:
            steps: optimizer steps done so far.
        """
        decay = min(self._decay, (1 + steps) / (10 + steps))
        for average, current in self._pairs:
            average.set_value(average * decay + current * (1 - decay))
