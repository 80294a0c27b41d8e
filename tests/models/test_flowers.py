"""Tests of the flower tutorial's network against NumPy and the tutorial."""

import numpy as np
import paddle
import pytest
from numpy_layers import Array, compare, conv, convolutions
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.errors import UserError
from paddle_wrn.models.flowers import FlowerNet, ResidualBlock

pytestmark = pytest.mark.numeric


def test_a_block_computes_what_numpy_computes() -> None:
    block = ResidualBlock(4)

    assert [layer.weight.shape for layer in convolutions(block)] == [[30, 4, 5, 5], [4, 30, 3, 3]]
    compare(
        block,
        lambda x: np.maximum(x + conv(conv(x, block.conv1), block.conv2), 0),
        (2, 4, 7, 6),
        training=False,
    )


def test_the_network_is_its_parts_in_the_tutorials_order() -> None:
    paddle.seed(0)
    model = FlowerNet(5)
    x = paddle.randn([1, 3, 224, 224])

    def halved(h: Array) -> Array:
        """Max pooling 2 x 2, then ReLU."""
        rows, columns = h.shape[2] // 2, h.shape[3] // 2
        return np.maximum(h.reshape(*h.shape[:2], rows, 2, columns, 2).max((3, 5)), 0)

    h = halved(model.conv1(x).numpy())
    assert h.shape == (1, 20, 110, 110)
    h = halved(model.conv2(model.block1(paddle.to_tensor(h))).numpy())
    assert h.shape == (1, 15, 54, 54)
    h = model.block2(paddle.to_tensor(h)).numpy().reshape(1, 43_740)
    expected = h @ model.fc.weight.numpy() + model.fc.bias.numpy()
    assert_equal_to_rounding(model(x), expected, terms=additions(model))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 225), (223, 224)])
def test_another_size_is_refused_with_the_settings_that_help(height: int, width: int) -> None:
    message = (
        f"^flowernet: found images of {height} x {width} pixels, but it takes 224 x 224; "
        "set --input.size 224 and --augment.crop_size 224$"
    )
    with pytest.raises(UserError, match=message):
        FlowerNet(5)(paddle.zeros([1, 3, height, width]))
