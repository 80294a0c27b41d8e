"""Grouped and depthwise convolutions, "same" padding, ReLU6, and networks of which a part is frozen."""

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from native_networks import (
    Block,
    Net,
    assert_same,
    images_of,
    needs_onednn,  # noqa: F401
    trained_once,
    two_threads,  # noqa: F401
)
from paddle import Tensor, nn

from paddle_wrn import native
from paddle_wrn.models import create_model
from paddle_wrn.native import accelerate
from paddle_wrn.native.operations import OPERATIONS
from paddle_wrn.native.plan import Plan
from paddle_wrn.native.recording import record
from paddle_wrn.native.step import Step
from paddle_wrn.native.tape import UnsupportedError, folded


class Separable(nn.Layer):
    """Dense, depthwise and dense convolutions of whole blocks of channels, each normalised."""

    def __init__(
        self, depthwise: nn.Conv2D, activation: Callable[..., Tensor] = lambda x: F.relu6(x)
    ) -> None:
        super().__init__()
        channels = depthwise._in_channels
        self.first = nn.Conv2D(3, channels, 3, padding=1)
        self.depthwise = depthwise
        self.last = nn.Conv2D(channels, channels, 1, bias_attr=False)
        self.norms = nn.LayerList([nn.BatchNorm2D(channels) for _ in range(3)])
        self.fc = nn.Linear(channels, 4)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation(self.norms[0](self.first(x)))
        h = h + self.norms[2](self.last(self.activation(self.norms[1](self.depthwise(h)))))
        return self.fc(paddle.flatten(F.adaptive_avg_pool2d(h, 1), 1))


def in_blocks(model: nn.Layer, size: tuple[int, int] = (9, 11)) -> bool:
    """Return whether a network's values lie in blocks of channels."""
    tape = record(model, (3, *size))
    return Plan(native._library(), tape.nodes, (2, 3, *size), training=True, learning=()).blocks


@pytest.mark.parametrize("bias", [None, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("channels_in", "channels_out", "groups"),
    [(5, 5, 5), (6, 6, 6), (16, 16, 16), (6, 9, 3), (4, 8, 4), (16, 8, 2)],
)
def test_a_grouped_convolution_is_paddles(
    channels_in: int, channels_out: int, groups: int, stride: int, bias: bool | None
) -> None:
    body = nn.Sequential(
        nn.Conv2D(5, channels_in, 1),
        nn.Conv2D(channels_in, channels_out, 3, stride, 1, groups=groups, bias_attr=bias),
    )
    assert_same(Net(body, channels_out), images_of(2, 9, 11))


@pytest.mark.parametrize("groups", [1, 16])
@pytest.mark.parametrize("stride", [1, 2, (1, 3)])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, (3, 7)])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 8), (11, 7), (1, 2)])
def test_same_padding_suits_every_size(
    height: int, width: int, kernel: Any, stride: Any, groups: int
) -> None:
    body = nn.Sequential(nn.Conv2D(5, 16, 1), nn.Conv2D(16, 16, kernel, stride, "SAME", groups=groups))
    assert_same(Net(body, 16), images_of(2, height, width))


@pytest.mark.parametrize("bias", [None, False])
@pytest.mark.parametrize("stride", [1, 2, (2, 1), 3])
@pytest.mark.parametrize(
    ("kernel", "padding"),
    [(3, 1), (3, "SAME"), (5, 2), (5, "SAME"), (5, 0), (7, "SAME"), ((3, 4), (0, 1, 3, 0)), ((1, 6), (0, 5))],
)
@pytest.mark.parametrize("size", [(9, 11), (8, 8)])
def test_blocks_of_channels_hold_depthwise_convolutions(
    size: tuple[int, int], kernel: Any, padding: Any, stride: Any, bias: bool | None
) -> None:
    paddle.seed(0)
    body = nn.Sequential(
        nn.Conv2D(3, 16, 3, padding=1), nn.Conv2D(16, 16, kernel, stride, padding, groups=16, bias_attr=bias)
    )
    model = nn.Sequential(body, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(16, 4))
    assert in_blocks(model, size)
    assert_same(model, images_of(3, *size))


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_dilated_depthwise_convolution(kernel: int) -> None:
    paddle.seed(0)
    layer = nn.Conv2D(16, 16, kernel, padding=kernel - 1, dilation=2, groups=16)
    assert_same(Separable(layer), images_of(2, 9, 11))


def test_a_grouped_convolution_takes_over_what_follows_it() -> None:
    body = nn.Sequential(nn.Conv2D(3, 8, 1), nn.Conv2D(8, 12, 3, groups=4), nn.BatchNorm2D(12), nn.ReLU6())
    model = nn.Sequential(body, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(12, 4))
    assert_same(model, images_of(4, 9, 8))
    assert len(folded(record(model, (3, 9, 8)).nodes)) == 4


@pytest.mark.parametrize(
    "activation", [lambda x: F.relu6(x), lambda x: F.relu(x), lambda x: F.leaky_relu(x, 0.1)]
)
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_block_of_a_mobile_network_is_paddles(activation: Callable[..., Tensor], kernel: int) -> None:
    paddle.seed(0)
    model = Separable(nn.Conv2D(24, 24, kernel, padding="SAME", groups=24, bias_attr=False), activation)
    assert in_blocks(model)
    assert_same(model, images_of(4, 10, 7) * 4)


@pytest.mark.parametrize(
    ("body", "blocks"),
    [
        (nn.Conv2D(3, 16, 3), False),  # nothing depthwise
        (nn.Sequential(nn.Conv2D(3, 16, 3), nn.Conv2D(16, 16, 3, groups=16)), True),
        (nn.Sequential(nn.Conv2D(3, 16, 3), nn.Conv2D(16, 16, 3, groups=8)), False),
        (nn.Sequential(nn.Conv2D(3, 12, 3), nn.Conv2D(12, 12, 3, groups=12), nn.Conv2D(12, 16, 1)), False),
        (nn.Sequential(nn.Conv2D(3, 3, 3, groups=3), nn.Conv2D(3, 16, 1)), False),
        (nn.Sequential(nn.MaxPool2D(2), nn.Conv2D(3, 16, 3), nn.Conv2D(16, 16, 1, groups=16)), False),
    ],
)
def test_blocks_are_for_depthwise_networks_that_fill_them(body: nn.Layer, blocks: bool) -> None:
    model = nn.Sequential(body, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(16, 4))
    assert in_blocks(model) == blocks
    assert_same(model, images_of(2, 9, 11))


FORWARDS: dict[str, Callable[..., Tensor]] = {
    "bn relu6": lambda block, x: F.relu6(block.bn(x)),
    "bn relu6, twice used": lambda block, x: block.conv1(h := F.relu6(block.bn(x))) + h,
    "bn relu, relu6": lambda block, x: F.relu6(F.relu(block.bn(x))),
    "bn leaky relu": lambda block, x: F.leaky_relu(block.bn(x), 0.1),
    "conv relu6": lambda block, x: block.conv2(F.relu6(block.conv1(x))),
    "sum, relu6": lambda block, x: F.relu6(block.bn(block.conv1(x)) + x),
    "conv bn relu6 conv": lambda block, x: block.conv2(F.relu6(block.bn(block.conv1(x)))),
    "relu6 of a value used again": lambda block, x: block.conv2(F.relu6(h := block.conv1(x))) + h,
}


@pytest.mark.parametrize("name", FORWARDS)
def test_relu6_is_paddles(name: str) -> None:
    paddle.seed(0)
    block = Block(FORWARDS[name])
    block.conv1.weight.set_value(block.conv1.weight * 20)  # so that some numbers reach 6
    block.bn.weight.set_value(block.bn.weight * 5)
    assert_same(Net(block, 5), images_of(4, 6, 7))


def test_relu6_reaches_6_in_these_tests() -> None:
    paddle.seed(0)
    block = Block(FORWARDS["bn relu6"])
    block.bn.weight.set_value(block.bn.weight * 5)
    values = block(paddle.randn([4, 5, 6, 7]))
    assert 0.05 < (values == 6).astype("float32").mean().item() < 0.3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_not_lost_in_relu6(bad: float) -> None:
    model = Separable(nn.Conv2D(16, 16, 3, padding=1, groups=16))
    forward = accelerate(model)
    forward(images_of(2, 8, 8))
    weight = model.first.weight.numpy()
    weight[0, 0, 1, 1] = bad
    model.first.weight.set_value(weight)
    for network in (model, forward):
        logits = network(images_of(2, 8, 8))  # and running statistics that are no numbers either
        logits.sum().backward()
        assert np.isnan(logits.numpy()).all()
        assert np.isnan(model.first.weight.grad.numpy()).any()
        model.clear_gradients()
    model.eval()
    with paddle.no_grad():
        assert np.isnan(model(images_of(2, 8, 8)).numpy()).all()
        assert np.isnan(forward(images_of(2, 8, 8)).numpy()).all()
    assert forward.obstacle is None


# EfficientNet-Lite


def assert_alike(model: nn.Layer, images: Tensor) -> None:
    """Compare a training pass through Paddle and through oneDNN as a whole.

    Rounding decides on which side of a corner of ReLU6 a number near it falls, and some of 3 million do, so
    that a few gradients of single weights differ visibly: their sum of squares does not.
    """
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    expected = trained_once(model, model, images)
    model.set_state_dict({name: paddle.to_tensor(value) for name, value in state.items()})
    forward = accelerate(model)
    found = trained_once(model, forward, images)
    assert forward.obstacle is None
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=0, atol=1e-3)
    learning = [name for name, p in model.named_parameters() if not p.stop_gradient]
    apart, whole = (
        np.sqrt(sum(np.square(x[name]).sum(dtype=np.float64) for name in learning))
        for x in ({name: found[name] - expected[name] for name in learning}, expected)
    )
    assert apart < 0.05 * whole
    assert whole > 1
    for name in set(expected) - {"logits", *learning}:  # running statistics
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("size", [(64, 64), (49, 66)])
def test_an_efficientnet_lite_is_paddles(size: tuple[int, int]) -> None:
    paddle.seed(0)
    model = create_model("efficientnet_lite0", 4, drop_rate=0.0)
    assert in_blocks(model, size)
    assert_alike(model, images_of(8, *size))


def test_in_evaluation_convolutions_do_all_but_pooling() -> None:
    tape = record(create_model("efficientnet_lite0", 4), (3, 64, 64))
    left = [node.kind for node in folded(tape.nodes)]
    assert left == ["convolution"] * 49 + ["average_pool", "flatten", "dropout"]
    assert [node.kind for node in tape.nodes].count("relu6") == 0  # BatchNorm does it in training


def test_runs_are_bit_for_bit_the_same() -> None:
    model = Separable(nn.Conv2D(24, 24, 5, padding="SAME", groups=24))
    images = images_of(6, 20, 20)
    found = [trained_once(model, accelerate(model), images) for _ in range(3)]
    for name in ("logits", *(key for key, p in model.named_parameters() if not p.stop_gradient)):
        value = found[0][name]
        assert value.tobytes() == found[1][name].tobytes() == found[2][name].tobytes(), name


def test_dropout_may_follow_what_is_flat() -> None:
    model = nn.Sequential(
        nn.Conv2D(3, 8, 3),
        nn.AdaptiveAvgPool2D(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Dropout(0.0),
        nn.Linear(8, 8),
    )
    model[-1].weight.set_value(paddle.eye(8))
    model[-1].bias.set_value(paddle.zeros([8]))
    forward = accelerate(model)
    logits = forward(images_of(64, 8, 8)).numpy()
    assert forward.obstacle is None
    assert 0.35 < (logits == 0).mean() < 0.65
    model.eval()
    np.testing.assert_allclose(
        forward(images_of(3, 8, 8)).numpy(), model(images_of(3, 8, 8)).numpy(), rtol=1e-4, atol=1e-6
    )
    assert forward.obstacle is None


def test_dropout_of_something_else_than_what_is_flat_is_left_to_paddle() -> None:
    class Sideways(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.dropout, self.fc = nn.Conv2D(3, 8, 3), nn.Dropout(0.5), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            paddle.flatten(x, 1)
            return self.fc(self.dropout(x))

    with pytest.raises(UnsupportedError, match="something that is not flat"):
        record(Sideways(), (3, 8, 8))


# More images than are computed at once


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 9])
def test_many_images_take_several_passes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("wrn_10_1", 4)
    model.eval()
    images = images_of(count, 16, 16)
    forward = accelerate(model)
    monkeypatch.setattr(native, "_PIXELS_AT_ONCE", 3 * 16 * 16)
    with paddle.no_grad():
        found = forward(images).numpy()
        one_by_one = np.concatenate([forward(images[i : i + 1]).numpy() for i in range(count)])
        expected = model(images).numpy()
    assert forward.obstacle is None
    np.testing.assert_allclose(found, one_by_one, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# Frozen layers


def frozen_before(name: str, model: nn.Layer) -> None:
    """Freeze all parameters in front of the first whose name begins so."""
    learns = False
    for key, parameter in model.named_parameters():
        learns = learns or key.startswith(name)
        parameter.stop_gradient = not learns or key.endswith(("_mean", "_variance"))


@pytest.mark.parametrize("name", ["group3.", "group2.layer.0.conv2", "bn.", "fc."])
def test_layers_behind_frozen_ones_learn_as_in_paddle(name: str) -> None:
    paddle.seed(0)
    model = create_model("wrn_10_1", 4)
    frozen_before(name, model)
    assert_same(model, images_of(4, 16, 16))


@pytest.mark.parametrize("name", ["blocks.10.", "blocks.11.depthwise.1", "head."])
def test_layers_behind_frozen_depthwise_ones_learn_as_in_paddle(name: str) -> None:
    paddle.seed(0)
    model = create_model("efficientnet_lite0", 4, drop_rate=0.0)
    frozen_before(name, model)
    assert_alike(model, images_of(8, 64, 64))


def step_of(model: nn.Layer) -> Step:
    tape = record(model, (3, 32, 32))
    return Step(native._library(), tape, OPERATIONS, (4, 3, 32, 32), training=True, learning=tape.learning())


def test_what_is_frozen_is_not_differentiated_and_keeps_nothing() -> None:
    model = create_model("wrn_16_1", 4)
    whole = step_of(model)
    frozen_before("group3.layer.1", model)
    part = step_of(model)
    assert len(part._backward) < len(whole._backward) / 4
    assert len(part._forward) == len(whole._forward)
    assert sum(map(len, part._plan._free.values())) > 0
    distinct = [len({id(memory) for memory in step._plan.values.values()}) for step in (part, whole)]
    assert distinct[0] < distinct[1] / 2


def test_thawing_and_freezing_again_changes_what_is_differentiated() -> None:
    model = create_model("wrn_10_1", 4)
    forward = accelerate(model)
    for name in ("conv1.", "group3.", "conv1.", "bn."):
        frozen_before(name, model)
        forward(images_of(2, 16, 16)).sum().backward()
        learned = {key for key, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert learned == {key for key, p in model.named_parameters() if not p.stop_gradient}
        model.clear_gradients()
    assert forward.obstacle is None
