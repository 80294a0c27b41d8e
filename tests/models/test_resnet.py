"""Tests of the residual networks for small images against NumPy and the paper."""

from typing import Any

import numpy as np
import paddle
import pytest
from numpy_layers import (
    Array,
    assert_he,
    compare,
    conv,
    convolutions,
    linear,
    norm,
    relu,
)
from paddle import nn
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.resnet import BasicBlock, Bottleneck, ResNet, Shortcut, ZeroPadding

pytestmark = pytest.mark.numeric


def shortcut_by_numpy(
    x: Array, kind: Shortcut, block: BasicBlock | Bottleneck, missing: int, stride: int
) -> Any:
    if kind == "none":
        return 0
    if kind == "C" or (kind == "B" and (missing or stride > 1)):
        return norm(conv(x, block.shortcut[0], stride), block.shortcut[1])
    small = x[:, :, ::stride, ::stride]
    return np.concatenate([small, np.zeros((len(x), missing, *small.shape[2:]))], axis=1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("channels_in", "width", "stride"), [(5, 5, 1), (4, 6, 2), (4, 6, 1), (5, 5, 2)])
@pytest.mark.parametrize("kind", ["A", "B", "C", "none"])
def test_a_basic_block_computes_what_numpy_computes(
    kind: Shortcut, channels_in: int, width: int, stride: int, training: bool
) -> None:
    block = BasicBlock(channels_in, width, stride, kind)
    (conv1, bn1), _, (conv2, bn2) = block.residual

    def expected(x: Array) -> Array:
        h = relu(norm(conv(x, conv1, stride), bn1))
        h = norm(conv(h, conv2), bn2)
        return relu(h + shortcut_by_numpy(x, kind, block, width - channels_in, stride))

    compare(block, expected, (3, channels_in, 7, 6), training=training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("channels_in", "width", "stride"), [(8, 2, 1), (3, 2, 1), (4, 3, 2)])
@pytest.mark.parametrize("kind", ["A", "B", "C", "none"])
def test_a_bottleneck_computes_what_numpy_computes(
    kind: Shortcut, channels_in: int, width: int, stride: int, training: bool
) -> None:
    block = Bottleneck(channels_in, width, stride, kind)
    (conv1, bn1), _, (conv2, bn2), _, (conv3, bn3) = block.residual

    def expected(x: Array) -> Array:
        h = relu(norm(conv(x, conv1), bn1))
        h = relu(norm(conv(h, conv2, stride), bn2))
        h = norm(conv(h, conv3), bn3)
        return relu(h + shortcut_by_numpy(x, kind, block, 4 * width - channels_in, stride))

    compare(block, expected, (3, channels_in, 7, 6), training=training)


def test_padding_has_no_parameters_and_passes_gradients_on() -> None:
    layer = ZeroPadding(2, 5, 2)
    x = paddle.randn([1, 2, 3, 3])
    x.stop_gradient = False

    layer(x).sum().backward()

    assert not layer.parameters()
    kept = np.zeros((3, 3))
    kept[::2, ::2] = 1
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(kept, (1, 2, 3, 3)))


@pytest.mark.parametrize(
    ("kind", "block", "projections"),
    [
        ("A", "basic", 0),
        ("B", "basic", 2),
        ("C", "basic", 9),
        ("none", "basic", 0),
        ("A", "bottleneck", 0),
        ("B", "bottleneck", 3),  # the first group changes its channels, too
        ("C", "bottleneck", 9),
    ],
)
def test_a_network_has_the_projections_of_its_option(kind: Shortcut, block: Any, projections: int) -> None:
    with paddle.LazyGuard():
        model = ResNet(10, 20 if block == "basic" else 29, block=block, shortcut=kind)

    assert len(model.blocks) == 9
    found = [each.shortcut for each in model.blocks]
    assert sum(isinstance(layer, nn.Sequential) for layer in found) == projections
    padded = sum(isinstance(layer, ZeroPadding) for layer in found)
    assert padded == ((2 if block == "basic" else 3) if kind == "A" else 0)
    assert {each.plain for each in model.blocks} == {kind == "none"}


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_network_is_a_stem_blocks_and_a_head(block: Any) -> None:
    paddle.seed(0)
    model = ResNet(4, 20 if block == "basic" else 29, block=block)
    model.eval()
    x = paddle.randn([2, 3, 9, 8])

    h = relu(norm(conv(x.numpy().astype(np.float64), model.stem[0]), model.stem[1])).astype(np.float32)
    h = model.blocks(paddle.to_tensor(h)).numpy()
    assert h.shape == (2, 64 if block == "basic" else 256, 3, 2)
    assert_equal_to_rounding(model(x), linear(h.mean((2, 3)), model.fc), terms=additions(model))


def test_no_convolution_has_a_bias_and_all_start_as_he_et_al_say() -> None:
    paddle.seed(0)
    layers = convolutions(ResNet(10, 20, shortcut="C"))

    assert len(layers) == 1 + 18 + 9
    for layer in layers:
        assert layer.bias is None
        assert_he(layer, layer.weight[0].size)


@pytest.mark.parametrize(
    ("block", "width", "weights"),
    [(BasicBlock, 256, 2 * 3 * 3 * 256 * 256), (Bottleneck, 64, 256 * 64 + 9 * 64 * 64 + 64 * 256)],
)
def test_a_bottleneck_of_256_channels_is_17_times_lighter(
    block: type[BasicBlock] | type[Bottleneck], width: int, weights: int
) -> None:
    with paddle.LazyGuard():
        layers = convolutions(block(256, width))

    assert sum(layer.weight.size for layer in layers) == weights == {64: 69_632, 256: 1_179_648}[width]


@pytest.mark.parametrize(
    ("depth", "block", "rule"),
    [
        (19, "basic", r"6 n \+ 2"),
        (2, "basic", r"6 n \+ 2"),
        (-4, "basic", "6 n"),
        (21, "bottleneck", r"9 n \+ 2"),
    ],
)
def test_a_wrong_depth_is_explained(depth: int, block: Any, rule: str) -> None:
    with pytest.raises(UserError, match=rf"^depth: found {depth}; with {block} blocks it is {rule}"):
        ResNet(10, depth, block=block)


def test_a_bottleneck_network_is_chosen_by_an_option() -> None:
    with paddle.LazyGuard():
        model = create_model("resnet56", 10, block="bottleneck", shortcut="B")

    assert len(model.blocks) == 18
    assert model.fc.weight.shape == [256, 10]
