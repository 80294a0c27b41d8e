"""How weights move: learning rate and optimizer."""

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
        return peak * schedule.gamma ** sum(epoch >= round(share * epochs) for share in schedule.milestones)
    if schedule.name == "cosine":
        progress = (epoch - warmup) / (epochs - warmup)
        return peak * 0.5 * (1 + math.cos(math.pi * progress))
    return peak


def make_optimizer(config: OptimizerConfig, model: nn.Layer) -> paddle.optimizer.Optimizer:
    """Build Paddle's optimizer over the trainable parameters; weight decay acts on all of them."""
    parameters = [p for p in model.parameters() if not p.stop_gradient]
    settings = {"learning_rate": config.lr, "parameters": parameters, "weight_decay": config.weight_decay}
    if config.name == "sgd":
        return paddle.optimizer.Momentum(momentum=config.momentum, use_nesterov=config.nesterov, **settings)
    kinds = {"adam": paddle.optimizer.Adam, "adamw": paddle.optimizer.AdamW}
    return kinds[config.name](**settings)
