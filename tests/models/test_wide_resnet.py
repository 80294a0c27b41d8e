"""Tests of the wide residual networks against the paper, the tutorial and NumPy."""

import math
from typing import Any

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from numpy_layers import Array, compare, conv, convolutions, fill, linear, norm, relu
from paddle import nn
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.errors import UserError
from paddle_wrn.models.summary import count_parameters
from paddle_wrn.models.wide_resnet import BasicBlock, KernelBlock, NetworkBlock, WideResNet

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("strides", [(1, 1, 2, 2), (2, 2, 2, 2)])
@pytest.mark.parametrize("conv_bias", [False, True])
def test_every_parameter_gets_a_gradient(conv_bias: bool, strides: tuple[int, int, int, int]) -> None:
    paddle.seed(0)
    model = WideResNet(4, 10, 1, conv_bias=conv_bias, strides=strides)
    if conv_bias:  # in training the BatchNorm behind a convolution takes its bias away again
        model.eval()
    loss = nn.functional.cross_entropy(model(paddle.randn([4, 3, 32, 32])), paddle.arange(4))

    loss.backward()

    trainable = {name: p for name, p in model.named_parameters() if not p.stop_gradient}
    assert sum(name.endswith("bias") and "conv" in name for name in trainable) == (7 if conv_bias else 0)
    for name, parameter in trainable.items():
        gradient = parameter.grad.numpy()
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() > 1e-8, name


def block_by_numpy(x: Array, block: BasicBlock, stride: int) -> Array:
    first = relu(norm(x, block.bn1))
    middle = conv(first, block.conv1, stride)
    last = conv(relu(norm(middle, block.bn2)), block.conv2)
    return last + (x if block.shortcut is None else conv(first, block.shortcut, stride))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("channels_in", "channels_out", "stride", "conv_bias"),
    [(5, 5, 1, False), (5, 5, 1, True), (4, 6, 1, False), (5, 5, 2, False), (4, 6, 2, True)],
)
def test_a_block_computes_what_numpy_computes(
    channels_in: int, channels_out: int, stride: int, conv_bias: bool, training: bool
) -> None:
    block = BasicBlock(channels_in, channels_out, stride, conv_bias=conv_bias)

    assert (block.shortcut is None) == (stride == 1 and channels_in == channels_out)
    compare(block, lambda x: block_by_numpy(x, block, stride), (3, channels_in, 7, 6), training=training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("kernels", "channels_in", "channels_out", "stride"),
    [
        ((3, 1, 3), 5, 5, 1),
        ((3, 1, 3), 4, 6, 2),
        ((1, 3, 1), 4, 6, 1),
        ((3, 1), 5, 5, 2),
        ((1, 3), 4, 6, 2),
        ((5,), 4, 4, 1),
        ((3, 3, 3, 3), 4, 6, 2),
    ],
)
def test_a_block_of_any_kernels_computes_what_numpy_computes(
    kernels: tuple[int, ...], channels_in: int, channels_out: int, stride: int, training: bool
) -> None:
    block = KernelBlock(channels_in, channels_out, stride, kernels=kernels)

    def expected(x: Array) -> Array:
        first = relu(norm(x, block.bn1))
        h = conv(first, block.conv1, stride)
        for bn, _, _, convolution in block.rest:
            h = conv(relu(norm(h, bn)), convolution)
        return h + (x if block.shortcut is None else conv(first, block.shortcut, stride))

    sizes = [layer.weight.shape[2] for layer in convolutions(block)]
    assert sizes == [*kernels, *([] if block.shortcut is None else [1])]
    assert (block.shortcut is None) == (stride == 1 and channels_in == channels_out)
    compare(block, expected, (3, channels_in, 7, 6), training=training)


def test_the_block_of_two_3x3_kernels_is_the_basic_block() -> None:
    general, basic = KernelBlock(4, 6, 2, kernels=(3, 3), conv_bias=True), BasicBlock(4, 6, 2, conv_bias=True)
    for name, value in basic.state_dict().items():
        other = name.replace("bn2", "rest.0.0").replace("conv2", "rest.0.3")
        general.state_dict()[other].set_value(value)
    x = paddle.randn([2, 4, 6, 6])

    assert_equal_to_rounding(general(x), basic(x), terms=additions(basic) + 2 * 6 * 6)


@pytest.mark.parametrize(
    ("arguments", "block", "blocks", "kernels"),
    [
        ({}, BasicBlock, 6, [3, 3]),
        ({"kernels": (3, 3)}, BasicBlock, 6, [3, 3]),
        ({"kernels": (3, 1, 3)}, KernelBlock, 6, [3, 1, 3]),
        ({"deepening_factor": 1}, KernelBlock, 12, [3]),
        ({"deepening_factor": 2}, BasicBlock, 6, [3, 3]),
        ({"deepening_factor": 3}, KernelBlock, 4, [3, 3, 3]),
        ({"deepening_factor": 4}, KernelBlock, 3, [3, 3, 3, 3]),
    ],
)
def test_kernels_and_deepening_factor_reach_every_block(
    arguments: dict[str, Any], block: type[nn.Layer], blocks: int, kernels: list[int]
) -> None:
    with paddle.LazyGuard():
        model = WideResNet(10, 40, 2, 0.3, **arguments)

    for group in (model.group1, model.group2, model.group3):
        assert [type(layer) for layer in group.layer] == [block] * blocks
        for number, layer in enumerate(group.layer):
            sizes = [convolution.weight.shape[2] for convolution in convolutions(layer)]
            assert sizes == kernels + [1] * (number == 0)
            rates = [each.p for each in layer.sublayers() if isinstance(each, nn.Dropout)]
            assert rates == [0.3] * (len(kernels) - 1)


@pytest.mark.parametrize("strides", [(1, 1, 2, 2), (2, 1, 1, 2)])
def test_a_network_computes_what_numpy_computes(strides: tuple[int, int, int, int]) -> None:
    paddle.seed(3)
    rng = np.random.default_rng(3)
    model = WideResNet(3, 16, 1, conv_bias=True, strides=strides)
    fill(model, rng)
    model.bn.bias.set_value(rng.normal(0, 1, 64).astype(np.float32))
    model.eval()
    images = rng.normal(0, 1, (2, 3, 6, 5)).astype(np.float32)

    with paddle.no_grad():
        found = model(paddle.to_tensor(images)).numpy()

    x = conv(images.astype(np.float64), model.conv1, strides[0])
    for group, stride in zip((model.group1, model.group2, model.group3), strides[1:], strict=True):
        for number, block in enumerate(group.layer):
            x = block_by_numpy(x, block, stride if number == 0 else 1)
    expected = linear(relu(norm(x, model.bn)).mean((2, 3)), model.fc)
    assert np.abs(expected).max() > 0.1
    assert_equal_to_rounding(found, expected, terms=additions(model))


def test_training_moves_the_running_mean_a_tenth_of_the_way() -> None:
    block = BasicBlock(3, 3)
    x = np.random.default_rng(2).normal(2, 1, (4, 3, 5, 5)).astype(np.float32)

    block(paddle.to_tensor(x))

    assert_equal_to_rounding(block.bn1._mean, 0.1 * x.mean((0, 2, 3)), terms=x[:, 0].size)


def test_dropout_works_in_training_only() -> None:
    paddle.seed(0)
    model = WideResNet(4, 10, 1, 0.5)
    images = paddle.randn([2, 3, 16, 16])

    def twice() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with paddle.no_grad():
            return model(images).numpy(), model(images).numpy()

    model.train()
    first, second = twice()
    assert not np.allclose(first, second)
    model.eval()
    first, second = twice()
    assert np.array_equal(first, second)


def test_dropout_stands_between_the_two_convolutions() -> None:
    paddle.seed(0)
    block = BasicBlock(2, 2, 1, 0.5)
    block.bn2.weight.set_value(np.zeros(2, np.float32))
    block.bn2.bias.set_value(np.ones(2, np.float32))  # what is dropped is 1 everywhere
    kernel = np.zeros((2, 2, 3, 3), np.float32)
    kernel[:, :, 1, 1] = 1, 10
    block.conv2.weight.set_value(kernel)
    x = paddle.randn([2, 2, 9, 9])

    added = np.round((block(x) - x).numpy()).astype(int)

    assert np.unique(added).tolist() == [0, 2, 20, 22]  # neither the sum nor what conv2 gives is dropped


@pytest.mark.parametrize("drop_rate", [0.0, 0.3])
def test_the_drop_rate_reaches_every_block(drop_rate: float) -> None:
    model = WideResNet(4, 16, 1, drop_rate)

    rates = [layer.p for layer in model.sublayers() if isinstance(layer, nn.Dropout)]

    assert rates == [drop_rate] * 6


@pytest.mark.parametrize("strides", [(1, 1, 2, 2), (2, 2, 2, 2)])
@pytest.mark.parametrize(("height", "width", "channels"), [(4, 4, 3), (17, 33, 1), (32, 32, 3), (9, 5, 4)])
def test_any_size_and_number_of_channels(
    height: int, width: int, channels: int, strides: tuple[int, int, int, int]
) -> None:
    model = WideResNet(5, 10, 1, in_channels=channels, strides=strides)
    model.eval()

    logits = model(paddle.randn([2, channels, height, width])).numpy()

    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


def test_logits_are_no_probabilities() -> None:
    paddle.seed(0)
    logits = WideResNet(3, 10, 1)(paddle.randn([8, 3, 32, 32])).numpy()

    assert logits.min() < 0


def test_a_batch_in_evaluation_is_its_images_one_by_one() -> None:
    model = WideResNet(3, 10, 1)
    model.eval()
    images = paddle.randn([3, 3, 16, 16])

    together = model(images).numpy()
    alone = np.concatenate([model(images[i : i + 1]).numpy() for i in range(3)])

    assert_equal_to_rounding(together, alone, terms=additions(model))


def test_the_tutorials_positional_calls_work() -> None:
    x = paddle.randn([2, 16, 8, 8])

    assert BasicBlock(16, 32, 2, 0.0)(x).shape == [2, 32, 4, 4]
    assert NetworkBlock(4, 16, 32, BasicBlock, 2, 0.0)(x).shape == [2, 32, 4, 4]
    assert count_parameters(WideResNet(4, 28, 1, 0.0)) == 369_108


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_a_stride_halves_rounding_up_and_only_in_the_first_block(side: int, stride: int) -> None:
    group = NetworkBlock(3, 4, 6, BasicBlock, stride)

    assert group(paddle.zeros([1, 4, side, side])).shape == [1, 6, *[math.ceil(side / stride)] * 2]
    assert [block.shortcut is None for block in group.layer] == [False, True, True]


def test_convolutions_start_as_he_et_al_say() -> None:
    paddle.seed(0)
    model = WideResNet(10, 16, 4, conv_bias=True)

    large = [layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D)][1:]
    for layer in large:
        weight = layer.weight.numpy()
        std = math.sqrt(2 / math.prod(weight.shape[1:]))
        count = weight.size
        assert weight.std() == pytest.approx(std, rel=5 / math.sqrt(2 * count))
        assert abs(weight.mean()) < 5 * std / math.sqrt(count)
        assert not layer.bias.numpy().any()


def test_the_tutorials_initialisation_is_as_narrow_as_its_code_makes_it() -> None:
    paddle.seed(0)
    model = WideResNet(4, 10, 4, conv_init="tutorial")
    for layer in model.sublayers():
        if isinstance(layer, nn.Conv2D):
            weight = layer.weight.numpy()
            out_channels, in_channels, height, _ = weight.shape
            std = math.sqrt(2 / (out_channels * in_channels * height))
            assert weight.std() == pytest.approx(std, rel=5 / math.sqrt(2 * weight.size))


def test_same_seed_same_weights() -> None:
    def weights(seed: int) -> NDArray[np.float32]:
        paddle.seed(seed)
        return WideResNet(3, 10, 1).group3.layer[0].conv1.weight.numpy()

    assert np.array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("depth", "hint"),
    [
        (9, "the smallest is 10"),
        (4, "the smallest is 10"),
        (0, "the smallest is 10"),
        (-2, "the smallest is 10"),
        (11, "the nearest are 10 and 16"),
        (15, "the nearest are 10 and 16"),
        (27, "the nearest are 22 and 28"),
        (50, "the nearest are 46 and 52"),
    ],
)
def test_a_wrong_depth_names_the_nearest_right_ones(depth: int, hint: str) -> None:
    with pytest.raises(UserError, match=f"^depth: found {depth};.*{hint}$"):
        WideResNet(4, depth)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes: found 0"),
        ({"widen_factor": 0}, "widen_factor: found 0"),
        ({"in_channels": 0}, "in_channels: found 0"),
        ({"strides": (1, 0, 2, 2)}, "strides: found 0"),
        ({"drop_rate": 1.0}, "drop_rate: found 1.0"),
        ({"drop_rate": -0.1}, "drop_rate: found -0.1"),
        ({"drop_rate": math.nan}, "drop_rate: found nan"),
        ({"deepening_factor": 0}, "deepening_factor: found 0"),
        ({"kernels": ()}, r"kernels: found \[\]; odd kernel sizes are needed"),
        ({"kernels": (3, 2)}, r"kernels: found \[3, 2\]; odd kernel sizes"),
        ({"kernels": (3, -1)}, r"kernels: found \[3, -1\]; odd kernel sizes"),
        ({"kernels": (3, 1), "deepening_factor": 3}, "kernels: found together with deepening_factor 3"),
        ({"depth": 12, "deepening_factor": 3}, r"depth: found 12; .* depth 9 n \+ 4 .* smallest is 13"),
        ({"depth": 21, "deepening_factor": 3}, "depth: found 21; .* the nearest are 13 and 22"),
    ],
)
def test_an_argument_out_of_range_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        WideResNet(**{"num_classes": 4, "depth": 10, **arguments})
