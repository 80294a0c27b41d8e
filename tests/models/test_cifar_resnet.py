"""Tests of the ResNets of the CIFAR-10 comparison against NumPy and their description."""

from typing import Literal

import paddle
import pytest
from numpy_layers import Array, assert_he, compare, conv, convolutions, kinds, linear, norm, relu
from paddle import nn
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.models.activations import Activation
from paddle_wrn.models.cifar_resnet import BasicBlock, CifarResNet, PreActBlock

pytestmark = pytest.mark.numeric

BLOCKS: tuple[Literal["basic", "preact"], ...] = ("basic", "preact")


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("channels_in", "channels_out", "stride"), [(5, 5, 1), (4, 6, 2)])
def test_a_basic_block_computes_what_numpy_computes(
    channels_in: int, channels_out: int, stride: int, training: bool
) -> None:
    block = BasicBlock(channels_in, channels_out, stride)

    def expected(x: Array) -> Array:
        h = relu(norm(conv(x, block.conv1, stride), block.bn1))
        h = norm(conv(h, block.conv2), block.bn2)
        return relu(h + (x if stride == 1 else conv(x, block.shortcut, stride)))

    compare(block, expected, (3, channels_in, 7, 6), training=training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("channels_in", "channels_out", "stride"), [(5, 5, 1), (4, 6, 2)])
def test_a_preactivation_block_computes_what_numpy_computes(
    channels_in: int, channels_out: int, stride: int, training: bool
) -> None:
    block = PreActBlock(channels_in, channels_out, stride)

    def expected(x: Array) -> Array:
        h = conv(relu(norm(x, block.bn1)), block.conv1, stride)
        h = conv(relu(norm(h, block.bn2)), block.conv2)
        if stride == 1:
            return h + x
        return h + conv(relu(norm(x, block.shortcut[0])), block.shortcut[2], stride)

    compare(block, expected, (3, channels_in, 7, 6), training=training)


def test_only_the_basic_shortcut_has_a_bias() -> None:
    basic, preact = BasicBlock(4, 6, 2), PreActBlock(4, 6, 2)

    assert [layer.bias is not None for layer in convolutions(basic)] == [False, False, True]
    assert [layer.bias is not None for layer in convolutions(preact)] == [False, False, False]
    assert isinstance(basic.shortcut, nn.Conv2D)  # and no batch normalisation behind it


@pytest.mark.parametrize("block", BLOCKS)
def test_a_network_is_a_stem_nine_blocks_and_a_head(block: Literal["basic", "preact"]) -> None:
    paddle.seed(0)
    model = CifarResNet(4, block=block)
    model.eval()
    x = paddle.randn([2, 3, 9, 8])

    stem = ["Conv2D", "BatchNorm2D", "ReLU"] if block == "basic" else ["Conv2D"]
    assert kinds(model)[: len(stem) + 1] == [*stem, "Conv2D" if block == "basic" else "BatchNorm2D"]
    assert kinds(model)[-1] == "Linear"  # nothing is normalised in front of the head
    shapes = [tuple(each.conv1.weight.shape[:2]) for each in model.blocks]
    assert shapes == [*[(16, 16)] * 3, (32, 16), *[(32, 32)] * 2, (64, 32), *[(64, 64)] * 2]
    h = model.blocks(model.stem(x)).numpy()
    assert h.shape == (2, 64, 3, 2)
    assert_equal_to_rounding(model(x), linear(h.mean((2, 3)), model.fc), terms=additions(model))


@pytest.mark.parametrize("block", BLOCKS)
def test_convolutions_start_as_he_et_al_say_with_fan_out(block: Literal["basic", "preact"]) -> None:
    paddle.seed(0)
    layers = convolutions(CifarResNet(10, block=block))

    assert len(layers) == 1 + 2 * 9 + 2
    for layer in layers:
        assert_he(layer, layer.weight[:, 0].size)


@pytest.mark.parametrize(
    ("activation", "kind"),
    [("tanh", nn.Tanh), ("relu", nn.ReLU), ("leaky_relu", nn.LeakyReLU), ("gelu", nn.GELU)],
)
@pytest.mark.parametrize("block", BLOCKS)
def test_the_activation_is_used_everywhere(
    block: Literal["basic", "preact"], activation: Activation, kind: type[nn.Layer]
) -> None:
    model = CifarResNet(10, block=block, activation=activation)
    found = {type(layer) for layer in model.sublayers() if type(layer).__module__.endswith("activation")}

    assert found == {kind}
    assert model(paddle.randn([2, 3, 8, 8])).shape == [2, 10]
