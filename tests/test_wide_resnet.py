"""Tests of the wide residual networks against the paper, the tutorial and NumPy."""

import math

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.summary import count_parameters
from paddle_wrn.models.wide_resnet import BasicBlock, NetworkBlock, WideResNet

# (depth, widen factor): exact parameters for 10 classes, for 100 classes
PARAMETERS = {
    (10, 1): (77_850, None),
    (16, 1): (175_066, None),
    (16, 2): (691_674, 703_284),
    (16, 4): (2_748_890, 2_772_020),
    (16, 8): (10_961_370, 11_007_540),
    (16, 10): (17_116_634, 17_174_324),
    (22, 2): (1_079_642, None),
    (22, 8): (17_158_106, 17_204_276),
    (28, 1): (369_498, None),
    (28, 2): (1_467_610, 1_479_220),
    (28, 10): (36_479_194, 36_536_884),
    (28, 12): (52_517_850, 52_587_060),
    (40, 1): (563_930, 569_780),
    (40, 2): (2_243_546, 2_255_156),
    (40, 4): (8_949_210, 8_972_340),
    (40, 8): (35_748_314, 35_794_484),
}
GOLDEN = [
    (f"wrn_{depth}_{k}", num_classes, count)
    for (depth, k), counts in PARAMETERS.items()
    for num_classes, count in zip((10, 100), counts, strict=True)
    if count is not None
]


@pytest.mark.parametrize(("name", "num_classes", "parameters"), GOLDEN)
def test_parameters_are_those_of_the_paper(name: str, num_classes: int, parameters: int) -> None:
    with paddle.LazyGuard():  # shapes without the numbers in them
        model = create_model(name, num_classes)

    assert count_parameters(model) == parameters


@pytest.mark.parametrize(("conv_bias", "parameters"), [(True, 370_116), (False, 369_108)])
def test_parameters_are_those_of_the_tutorial(conv_bias: bool, parameters: int) -> None:
    assert count_parameters(WideResNet(4, conv_bias=conv_bias)) == parameters


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


def conv_by_numpy(x: NDArray[np.float64], layer: nn.Conv2D, stride: int) -> NDArray[np.float64]:
    weight = layer.weight.numpy().astype(np.float64)
    kernel = weight.shape[2]
    border = kernel // 2
    padded = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
    rows = range(0, padded.shape[2] - kernel + 1, stride)
    columns = range(0, padded.shape[3] - kernel + 1, stride)
    output = np.zeros((len(x), len(weight), len(rows), len(columns)))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            window = padded[:, :, top : top + kernel, left : left + kernel]
            output[:, :, i, j] = np.tensordot(window, weight, axes=([1, 2, 3], [1, 2, 3]))
    bias = 0 if layer.bias is None else layer.bias.numpy().reshape(1, -1, 1, 1)
    return output + bias


def norm_relu_by_numpy(x: NDArray[np.float64], layer: nn.BatchNorm2D, training: bool) -> NDArray[np.float64]:
    mean = x.mean((0, 2, 3)) if training else layer._mean.numpy()
    variance = x.var((0, 2, 3)) if training else layer._variance.numpy()
    mean, variance, weight, bias = (
        value.reshape(1, -1, 1, 1) for value in (mean, variance, layer.weight.numpy(), layer.bias.numpy())
    )
    return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * weight + bias, 0)


def block_by_numpy(x: NDArray[np.float64], block: BasicBlock, stride: int) -> NDArray[np.float64]:
    first = norm_relu_by_numpy(x, block.bn1, block.training)
    middle = conv_by_numpy(first, block.conv1, stride)
    last = conv_by_numpy(norm_relu_by_numpy(middle, block.bn2, block.training), block.conv2, 1)
    return last + (x if block.shortcut is None else conv_by_numpy(first, block.shortcut, stride))


def fill_norms(layer: nn.Layer, rng: np.random.Generator) -> None:
    """Give every BatchNorm and bias values that are not those of the beginning."""
    for name, value in layer.state_dict().items():
        if "bn" in name or "bias" in name:
            value.set_value(rng.uniform(0.5, 1.5, value.shape).astype(np.float32))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("channels_in", "channels_out", "stride", "conv_bias"),
    [(5, 5, 1, False), (5, 5, 1, True), (4, 6, 1, False), (5, 5, 2, False), (4, 6, 2, True)],
)
def test_a_block_computes_what_numpy_computes(
    channels_in: int, channels_out: int, stride: int, conv_bias: bool, training: bool
) -> None:
    rng = np.random.default_rng(1)
    block = BasicBlock(channels_in, channels_out, stride, conv_bias=conv_bias)
    fill_norms(block, rng)
    block.train() if training else block.eval()
    x = rng.normal(0.3, 1, (3, channels_in, 7, 6)).astype(np.float32)

    with paddle.no_grad():
        found = block(paddle.to_tensor(x)).numpy()

    assert (block.shortcut is None) == (stride == 1 and channels_in == channels_out)
    np.testing.assert_allclose(found, block_by_numpy(x.astype(np.float64), block, stride), 1e-4, 1e-5)


@pytest.mark.parametrize("strides", [(1, 1, 2, 2), (2, 1, 1, 2)])
def test_a_network_computes_what_numpy_computes(strides: tuple[int, int, int, int]) -> None:
    paddle.seed(3)
    rng = np.random.default_rng(3)
    model = WideResNet(3, 16, 1, conv_bias=True, strides=strides)
    fill_norms(model, rng)
    model.bn.bias.set_value(rng.normal(0, 1, 64).astype(np.float32))
    model.eval()
    images = rng.normal(0, 1, (2, 3, 6, 5)).astype(np.float32)

    with paddle.no_grad():
        found = model(paddle.to_tensor(images)).numpy()

    x = conv_by_numpy(images.astype(np.float64), model.conv1, strides[0])
    for group, stride in zip((model.group1, model.group2, model.group3), strides[1:], strict=True):
        for number, block in enumerate(group.layer):
            x = block_by_numpy(x, block, stride if number == 0 else 1)
    pooled = norm_relu_by_numpy(x, model.bn, False).mean((2, 3))
    expected = pooled @ model.fc.weight.numpy() + model.fc.bias.numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, 1e-3, 1e-4)


def test_training_moves_the_running_mean_a_tenth_of_the_way() -> None:
    block = BasicBlock(3, 3)
    x = np.random.default_rng(2).normal(2, 1, (4, 3, 5, 5)).astype(np.float32)

    block(paddle.to_tensor(x))

    np.testing.assert_allclose(block.bn1._mean.numpy(), 0.1 * x.mean((0, 2, 3)), rtol=1e-5)


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

    np.testing.assert_allclose(together, alone, 1e-4, 1e-5)


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
    ],
)
def test_an_argument_out_of_range_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        WideResNet(**{"num_classes": 4, "depth": 10, **arguments})
