"""Tests of the small GoogLeNet against NumPy and the description of the comparison."""

import numpy as np
import paddle
import pytest
from numpy_layers import Array, assert_he, compare, conv, convolutions, kinds, max_pool, norm, relu
from paddle import nn
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.models.activations import Activation
from paddle_wrn.models.googlenet import GoogLeNet, InceptionBlock, Widths

pytestmark = pytest.mark.numeric

# (in); (reduce 3x3, 5x5); (out 1x1, 3x3, 5x5, max), as the comparison lists them
BLOCKS = [
    (64, (32, 16), (16, 32, 8, 8)),
    (64, (32, 16), (24, 48, 12, 12)),
    (96, (32, 16), (24, 48, 12, 12)),
    (96, (32, 16), (16, 48, 16, 16)),
    (96, (32, 16), (16, 48, 16, 16)),
    (96, (32, 16), (32, 48, 24, 24)),
    (128, (48, 16), (32, 64, 16, 16)),
    (128, (48, 16), (32, 64, 16, 16)),
]


def unit(x: Array, layer: nn.Sequential) -> Array:
    """Convolution, batch normalisation, ReLU."""
    return relu(norm(conv(x, layer[0]), layer[1]))


@pytest.mark.parametrize("training", [False, True])
def test_a_block_computes_what_numpy_computes(training: bool) -> None:
    block = InceptionBlock(5, Widths(3, 2, 4, 6, 3, 2))

    def expected(x: Array) -> Array:
        branches = [
            unit(x, block.branch_1x1),
            unit(unit(x, block.branch_3x3[0]), block.branch_3x3[1]),
            unit(unit(x, block.branch_5x5[0]), block.branch_5x5[1]),
            unit(max_pool(x, 3, 1, 1), block.branch_pool[1]),
        ]
        assert [branch.shape[1] for branch in branches] == [4, 6, 3, 2]
        return np.concatenate(branches, axis=1)

    compare(block, expected, (2, 5, 7, 6), training=training)


def test_the_branches_are_as_wide_as_the_comparison_says() -> None:
    with paddle.LazyGuard():
        model = GoogLeNet(10)

    blocks = [block for group in (model.group1, model.group2, model.group3) for block in group]
    assert [len(group) for group in (model.group1, model.group2, model.group3)] == [2, 4, 2]
    for block, (channels, (reduce_3x3, reduce_5x5), (out_1x1, out_3x3, out_5x5, out_pool)) in zip(
        blocks, BLOCKS, strict=True
    ):
        assert [tuple(layer.weight.shape) for layer in convolutions(block)] == [
            (out_1x1, channels, 1, 1),
            (reduce_3x3, channels, 1, 1),
            (out_3x3, reduce_3x3, 3, 3),
            (reduce_5x5, channels, 1, 1),
            (out_5x5, reduce_5x5, 5, 5),
            (out_pool, channels, 1, 1),
        ]


def test_a_network_computes_stem_groups_and_pools_in_this_order() -> None:
    paddle.seed(0)
    model = GoogLeNet(4)
    model.eval()
    x = paddle.randn([2, 3, 12, 12])

    h = model.stem(x).numpy()
    for group, side in ((model.group1, 6), (model.group2, 3)):
        h = max_pool(group(paddle.to_tensor(h)).numpy(), 3, 2, 1)
        assert h.shape[2:] == (side, side)
    h = model.group3(paddle.to_tensor(h.astype(np.float32))).numpy().mean((2, 3))
    expected = h @ model.fc.weight.numpy() + model.fc.bias.numpy()

    assert_equal_to_rounding(model(x), expected, terms=additions(model))


def test_every_convolution_has_a_bias_and_is_normalised_and_starts_as_he_et_al_say() -> None:
    paddle.seed(0)
    model = GoogLeNet(10)

    layers = convolutions(model)
    assert len(layers) == 1 + 6 * len(BLOCKS)
    for layer in layers:
        assert layer.bias is not None
        assert_he(layer, layer.weight[0].size)
    assert [kind for kind in kinds(model) if "Pool" not in kind] == [
        *(["Conv2D", "BatchNorm2D", "ReLU"] * len(layers)),
        "Linear",
    ]


@pytest.mark.parametrize(
    ("activation", "kind"),
    [("tanh", nn.Tanh), ("relu", nn.ReLU), ("leaky_relu", nn.LeakyReLU), ("gelu", nn.GELU)],
)
def test_the_activation_is_used_everywhere(activation: Activation, kind: type[nn.Layer]) -> None:
    model = GoogLeNet(10, activation=activation)
    found = {type(layer) for layer in model.sublayers() if type(layer).__module__.endswith("activation")}

    assert found == {kind}
    assert model(paddle.randn([2, 3, 8, 8])).shape == [2, 10]
