"""Small networks around a layer, and whether oneDNN computes what Paddle computes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import Tensor, nn
from rounding import truths

from paddle_wrn import native
from paddle_wrn.native import accelerate, onednn
from paddle_wrn.native.tape import UnsupportedError
from paddle_wrn.system import device


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = paddle.get_flags("FLAGS_paddle_num_threads")
    if "FLAGS_paddle_num_threads" in device.CHOSEN:  # by the package: nobody asked for another number
        paddle.set_flags({"FLAGS_paddle_num_threads": 2})
    yield
    paddle.set_flags(before)


@pytest.fixture(autouse=True)
def needs_onednn(request: pytest.FixtureRequest) -> None:
    if "without_onednn" in request.keywords:
        return
    try:
        native._library()
    except (UnsupportedError, onednn.OneDNNError, OSError) as obstacle:
        pytest.skip(str(obstacle))


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


def trained_once(model: nn.Layer, forward: Callable[[Tensor], Tensor], images: Tensor) -> dict[str, Any]:
    """Return logits, gradients and running statistics after one pass through `forward` and back."""
    logits = forward(images)
    weights = paddle.linspace(-1, 1, logits.size, dtype=logits.dtype).reshape(logits.shape)
    (logits * weights).sum().backward()
    found = {"logits": logits.numpy()}
    for name, parameter in model.named_parameters():
        value = parameter if parameter.stop_gradient else parameter.grad
        found[name] = np.zeros(0) if value is None else value.numpy()  # a layer that `Block` does not use
    model.clear_gradients()
    return found


def assert_same(model: nn.Layer, images: Tensor) -> None:
    """Compare a training pass and an evaluation through oneDNN with what Paddle says in double precision."""
    double = images.astype("float64")
    expected = truths(model, lambda twin: trained_once(twin, twin, double))
    forward = accelerate(model)
    found = trained_once(model, forward, images)
    assert forward.obstacle is None
    for name, truth in expected.items():
        truth.check(found[name], name)
    for layer in model.sublayers():
        if isinstance(layer, nn.BatchNorm2D):  # four vectors that cannot be mistaken for one another
            for vector, low in (
                (layer.weight, 0.5),
                (layer.bias, -0.5),
                (layer._mean, -0.5),
                (layer._variance, 1),
            ):
                vector.set_value(paddle.uniform(vector.shape, min=low, max=low + 1))
    model.eval()
    with paddle.no_grad():
        truths(model, lambda twin: {"logits": twin(double).numpy()})["logits"].check(forward(images).numpy())
    assert forward.obstacle is None
