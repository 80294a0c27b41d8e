"""What layers compute, written down again in NumPy (float64), and how tests prepare and compare them."""

from collections.abc import Callable

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from rounding import additions, assert_equal_to_rounding

Array = NDArray[np.float64]


def conv(x: Array, layer: nn.Conv2D, stride: int = 1, padding: int | None = None) -> Array:
    """Convolve (N, C, H, W); without `padding`, H and W are kept at stride 1."""
    weight = layer.weight.numpy().astype(np.float64)
    kernel = weight.shape[2]
    border = kernel // 2 if padding is None else padding
    padded = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
    output = np.stack(
        [
            np.stack([np.tensordot(w, weight, axes=([1, 2, 3], [1, 2, 3])) for w in row], axis=-1)
            for row in _windows(padded, kernel, stride)
        ],
        axis=-2,
    )
    return output + (0 if layer.bias is None else layer.bias.numpy().reshape(1, -1, 1, 1))


def max_pool(x: Array, kernel: int, stride: int, padding: int = 0) -> Array:
    """Return the greatest value of each window; the border never is."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    rows = [[w.max((2, 3)) for w in row] for row in _windows(padded, kernel, stride)]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def mean_pool(x: Array, kernel: int) -> Array:
    """Return the mean of each of the windows side by side."""
    rows = [[w.mean((2, 3)) for w in row] for row in _windows(x, kernel, kernel)]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def norm(x: Array, layer: nn.BatchNorm2D) -> Array:
    """Normalise by the batch in training and by the running statistics in evaluation."""
    mean = x.mean((0, 2, 3)) if layer.training else layer._mean.numpy()
    variance = x.var((0, 2, 3)) if layer.training else layer._variance.numpy()
    mean, variance, weight, bias = (
        value.reshape(1, -1, 1, 1) for value in (mean, variance, layer.weight.numpy(), layer.bias.numpy())
    )
    return (x - mean) / np.sqrt(variance + layer._epsilon) * weight + bias


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def linear(x: Array, layer: nn.Linear) -> Array:
    return x @ layer.weight.numpy() + layer.bias.numpy()


def fill(layer: nn.Layer, rng: np.random.Generator) -> None:
    """Give every BatchNorm and every bias values that are not those of the beginning."""
    for each in layer.sublayers(include_self=True):
        for name in ("weight", "bias", "_mean", "_variance"):
            value = getattr(each, name, None)
            if value is not None and (name != "weight" or isinstance(each, nn.BatchNorm2D)):
                value.set_value(rng.uniform(0.5, 1.5, value.shape).astype(np.float32))


def compare(
    block: nn.Layer, expected: Callable[[Array], Array], shape: tuple[int, ...], *, training: bool
) -> None:
    """Assert that a block computes what NumPy does, from filled statistics and random images."""
    rng = np.random.default_rng(1)
    fill(block, rng)
    block.train() if training else block.eval()
    x = rng.normal(0.3, 1, shape).astype(np.float32)
    with paddle.no_grad():
        found = block(paddle.to_tensor(x)).numpy()
    right = expected(x.astype(np.float64))
    assert np.abs(right).max() > 0.1
    assert_equal_to_rounding(found, right, terms=additions(block) + x[:, 0].size)  # and those of BatchNorm


def kinds(layer: nn.Layer) -> list[str]:
    """Return the classes of the layers that have no layers inside, in the order of definition."""
    return [type(each).__name__ for each in layer.sublayers() if not each.sublayers()]


def convolutions(model: nn.Layer) -> list[nn.Conv2D]:
    return [layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D)]


def assert_he(layer: nn.Conv2D, fan: int) -> None:
    """Assert that the weights are as large as He et al. 2015 say: standard deviation sqrt(2 / fan)."""
    weight = layer.weight.numpy()
    assert abs(weight.std() / np.sqrt(2 / fan) - 1) < 5 / np.sqrt(2 * weight.size)
    assert abs(weight.mean()) < 5 * np.sqrt(2 / fan / weight.size)


def _windows(padded: Array, kernel: int, stride: int) -> list[list[Array]]:
    return [
        [
            padded[:, :, top : top + kernel, left : left + kernel]
            for left in range(0, padded.shape[3] - kernel + 1, stride)
        ]
        for top in range(0, padded.shape[2] - kernel + 1, stride)
    ]
