"""Tests of the DenseNet of the CIFAR-10 comparison against NumPy and its description."""

import numpy as np
import paddle
import pytest
from numpy_layers import (
    Array,
    assert_he,
    compare,
    conv,
    convolutions,
    kinds,
    linear,
    mean_pool,
    norm,
    relu,
)
from paddle import nn
from rounding import additions, assert_equal_to_rounding

from paddle_wrn.models.activations import Activation
from paddle_wrn.models.cifar_densenet import CifarDenseNet, DenseLayer, transition

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("training", [False, True])
def test_a_layer_computes_what_numpy_computes(training: bool) -> None:
    layer = DenseLayer(5)
    bn1, _, conv1, bn2, _, conv2 = layer.net

    def expected(x: Array) -> Array:
        new = conv(relu(norm(conv(relu(norm(x, bn1)), conv1), bn2)), conv2)
        assert new.shape[1] == 16
        return np.concatenate([new, x], axis=1)  # the new features in front

    compare(layer, expected, (2, 5, 7, 6), training=training)


@pytest.mark.parametrize("training", [False, True])
def test_a_transition_computes_what_numpy_computes(training: bool) -> None:
    layer = transition(6, "relu")

    def expected(x: Array) -> Array:
        return mean_pool(conv(relu(norm(x, layer[0])), layer[2]), 2)

    compare(layer, expected, (2, 6, 7, 6), training=training)


def test_the_blocks_grow_and_are_halved_as_the_comparison_says() -> None:
    paddle.seed(0)
    model = CifarDenseNet(4)
    model.eval()
    x = paddle.randn([2, 3, 16, 16])

    h = model.stem(x)
    entering = [h.shape[1]]
    layers = [0]
    for stage in model.blocks:
        h = stage(h)
        if isinstance(stage, DenseLayer):
            layers[-1] += 1
        else:
            entering.append(h.shape[1])
            layers.append(0)
    assert (entering, layers) == ([32, 64, 80, 88], [6, 6, 6, 6])
    assert h.shape == [2, 184, 2, 2]
    pooled = relu(norm(h.numpy().astype(np.float64), model.bn)).mean((2, 3))
    assert_equal_to_rounding(model(x), linear(pooled, model.fc), terms=additions(model))


def test_only_the_stem_has_a_bias_and_all_start_as_he_et_al_say() -> None:
    paddle.seed(0)
    model = CifarDenseNet(10)
    layers = convolutions(model)

    assert [layer.bias is not None for layer in layers] == [True] + [False] * (2 * 24 + 3)
    for layer in layers:
        assert_he(layer, layer.weight[0].size)
    assert kinds(model)[:4] == ["Conv2D", "BatchNorm2D", "ReLU", "Conv2D"]  # the stem is bare


@pytest.mark.parametrize(
    ("activation", "kind"),
    [("tanh", nn.Tanh), ("relu", nn.ReLU), ("leaky_relu", nn.LeakyReLU), ("gelu", nn.GELU)],
)
def test_the_activation_is_used_everywhere(activation: Activation, kind: type[nn.Layer]) -> None:
    model = CifarDenseNet(10, activation=activation)
    found = {type(layer) for layer in model.sublayers() if type(layer).__module__.endswith("activation")}

    assert found == {kind}
    assert model(paddle.randn([2, 3, 8, 8])).shape == [2, 10]
