"""Small networks with a contract, that were never trained, and pictures to show them."""

from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.models import create_model
from paddle_wrn.photos.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]


def noise(count: int, size: int) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (count, size, size, 3), np.uint8)


def classifier_of(model: nn.Layer, size: int, num_classes: int = 3, *, mirror: bool = False) -> Classifier:
    """Return a network of random statistics in evaluation mode with a contract."""
    names = tuple(f"class {label}" for label in range(num_classes))
    contract = Preprocessing(
        size=size, mean=(0.5,) * 3, std=(0.25,) * 3, classes=names, display_names=names, mirror=mirror
    )
    model.eval()
    return Classifier(model, contract)


def small(*, mirror: bool = False) -> Classifier:
    paddle.seed(0)
    model = create_model("wrn_10_1", 3, strides=[2, 1, 2, 1])
    model(paddle.randn([8, 3, 24, 24]))  # moves the running statistics
    return classifier_of(model, 24, mirror=mirror)


def zeros(name: str, num_classes: int, **options: Any) -> nn.Layer:
    """Build a network of zeros where it asks for nothing else: random numbers would take seconds."""
    nn.initializer.set_global_initializer(nn.initializer.Constant(0.0))
    try:
        return create_model(name, num_classes, **options)
    finally:
        nn.initializer.set_global_initializer(None)


def fill(model: nn.Layer) -> None:
    """Give a network weights of He's variance, repeated from a table, and statistics of 0 and 2."""
    table = np.random.default_rng(3).standard_normal(1_000_003).astype(np.float32)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            fan_in = np.prod(parameter.shape[1:]) if parameter.ndim == 4 else parameter.shape[0]
            parameter.set_value(np.resize(table * np.float32(np.sqrt(2 / fan_in)), parameter.shape))
    for layer in model.sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            layer._variance.set_value(paddle.full_like(layer._variance, 2.0))
