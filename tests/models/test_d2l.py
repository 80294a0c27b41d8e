"""Tests of the textbook's ResNet-18 and DenseNet against NumPy and the textbook."""

import numpy as np
import paddle
import pytest
from numpy_layers import (
    Array,
    compare,
    conv,
    convolutions,
    kinds,
    linear,
    max_pool,
    mean_pool,
    norm,
    relu,
)
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.models.d2l import D2lDenseNet, D2lResNet18, DenseBlock, Residual, stem

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("training", [False, True])
def test_the_stem_computes_what_numpy_computes(training: bool) -> None:
    layer = stem(1)

    def expected(x: Array) -> Array:
        return max_pool(relu(norm(conv(x, layer[0], 2, 3), layer[1])), 3, 2, 1)

    compare(layer, expected, (2, 1, 13, 12), training=training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("channels_in", "channels_out", "stride"), [(5, 5, 1), (4, 6, 2), (4, 6, 1), (5, 5, 2)]
)
def test_a_residual_block_computes_what_numpy_computes(
    channels_in: int, channels_out: int, stride: int, training: bool
) -> None:
    block = Residual(channels_in, channels_out, stride)

    def expected(x: Array) -> Array:
        h = relu(norm(conv(x, block.conv1, stride), block.bn1))
        h = norm(conv(h, block.conv2), block.bn2)
        return relu(h + (x if block.shortcut is None else conv(x, block.shortcut, stride)))

    assert (block.shortcut is None) == (stride == 1 and channels_in == channels_out)
    compare(block, expected, (3, channels_in, 7, 6), training=training)


@pytest.mark.parametrize("training", [False, True])
def test_a_dense_block_computes_what_numpy_computes(training: bool) -> None:
    block = DenseBlock(3, 4, 2)

    def expected(x: Array) -> Array:
        for bn, _, convolution in block.units:
            x = np.concatenate([x, conv(relu(norm(x, bn)), convolution)], axis=1)  # the new features behind
        return x

    compare(block, expected, (2, 4, 7, 6), training=training)


@pytest.mark.parametrize(("model", "count"), [(D2lResNet18, 20), (D2lDenseNet, 20)])
def test_every_convolution_has_a_bias(model: type[D2lResNet18], count: int) -> None:
    layers = convolutions(model(10))

    assert len(layers) == count
    assert all(layer.bias is not None for layer in layers)


def test_resnet_has_four_stages_of_two_blocks() -> None:
    paddle.seed(0)
    model = D2lResNet18(3, in_channels=1)
    model.eval()
    x = paddle.randn([2, 1, 64, 64])

    h = model.stem(x)
    shapes = []
    for block in model.blocks:
        h = block(h)
        shapes.append(tuple(h.shape[1:]))
    assert shapes == [
        *[(64, 16, 16)] * 2,
        *[(128, 8, 8)] * 2,
        *[(256, 4, 4)] * 2,
        *[(512, 2, 2)] * 2,
    ]
    assert [block.shortcut is not None for block in model.blocks] == [False, False, *[True, False] * 3]
    expected = linear(h.numpy().mean((2, 3)), model.fc)
    assert_equal_to_rounding(model(x), expected, terms=additions(model))


def test_densenet_grows_by_32_and_is_halved_between_the_blocks() -> None:
    paddle.seed(0)
    model = D2lDenseNet(3, in_channels=1)
    model.eval()
    x = paddle.randn([2, 1, 64, 64])

    transition = ["BatchNorm2D", "ReLU", "Conv2D", "AvgPool2D"]
    assert [type(stage).__name__ for stage in model.blocks] == [
        *["DenseBlock", *transition] * 3,
        "DenseBlock",
    ]
    assert kinds(model)[-2:] == ["BatchNorm2D", "Linear"]
    h = model.stem(x).numpy().astype(np.float64)
    channels = [h.shape[1]]
    stages = iter(model.blocks)
    for stage in stages:
        for bn, _, convolution in stage.units:
            assert convolution.weight.shape[0] == 32
            h = np.concatenate([h, conv(relu(norm(h, bn)), convolution)], axis=1)
        channels.append(h.shape[1])
        if len(channels) < 8:
            bn, _, convolution, _ = (next(stages) for _ in range(4))
            h = mean_pool(conv(relu(norm(h, bn)), convolution), 2)
            channels.append(h.shape[1])
    assert channels == [64, 192, 96, 224, 112, 240, 120, 248]
    expected = linear(relu(norm(h, model.bn)).mean((2, 3)), model.fc)
    assert_equal_to_rounding(model(x), expected, terms=additions(model))
