"""Small networks with the layer under test inside, for the tests of the native engine."""

from collections.abc import Callable

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


class Net(nn.Layer):
    """Two convolutions, the layer under test among them, and what every network here ends with."""

    def __init__(self, layer: nn.Layer, channels: int = 6) -> None:
        super().__init__()
        self.first = nn.Conv2D(3, 5, 3, padding=1, bias_attr=False)
        self.layer = layer
        self.fc = nn.Linear(channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(self.layer(self.first(x)), 1), 1))


class Block(nn.Layer):
    """A function of four layers as a layer."""

    def __init__(self, function: Callable[..., Tensor], channels: int = 5) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2D(channels)
        self.conv1 = nn.Conv2D(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2D(channels, channels, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def images_of(batch: int, height: int, width: int) -> Tensor:
    return paddle.to_tensor(np.random.default_rng(0).normal(size=(batch, 3, height, width)).astype("float32"))
