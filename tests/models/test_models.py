"""Tests of all networks: their parameters, their gradients, their summary."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import paddle
import pytest

import paddle_wrn
from paddle_wrn.models import WideResNet, create_model, list_models
from paddle_wrn.models.imagenet import NAMES
from paddle_wrn.models.summary import count_parameters, summarise

# WRN-10-1 for 10 classes on 3 x 32 x 32, by hand: name: (output, parameters, multiply-adds)
WRN_10_1 = {
    "conv1": ((16, 32, 32), 432, 442_368),
    "group1.layer.0.bn1": ((16, 32, 32), 32, 0),
    "group1.layer.0.conv1": ((16, 32, 32), 2_304, 2_359_296),
    "group1.layer.0.bn2": ((16, 32, 32), 32, 0),
    "group1.layer.0.conv2": ((16, 32, 32), 2_304, 2_359_296),
    "group2.layer.0.bn1": ((16, 32, 32), 32, 0),
    "group2.layer.0.conv1": ((32, 16, 16), 4_608, 1_179_648),
    "group2.layer.0.bn2": ((32, 16, 16), 64, 0),
    "group2.layer.0.conv2": ((32, 16, 16), 9_216, 2_359_296),
    "group2.layer.0.shortcut": ((32, 16, 16), 512, 131_072),
    "group3.layer.0.bn1": ((32, 16, 16), 64, 0),
    "group3.layer.0.conv1": ((64, 8, 8), 18_432, 1_179_648),
    "group3.layer.0.bn2": ((64, 8, 8), 128, 0),
    "group3.layer.0.conv2": ((64, 8, 8), 36_864, 2_359_296),
    "group3.layer.0.shortcut": ((64, 8, 8), 2_048, 131_072),
    "bn": ((64, 8, 8), 128, 0),
    "fc": ((10,), 650, 640),
}


def resnet_parameters(depth: int, kind: str) -> int:
    """Count ResNet-depth for 10 classes by the text of He et al. 2015, section 4.2."""
    n = (depth - 2) // 6
    count = 27 * 16 + 2 * 16 + 65 * 10  # stem, head
    before = 16
    for width in (16, 32, 64):
        count += 9 * before * width + (2 * n - 1) * 9 * width * width + 2 * n * 2 * width
        if kind == "C" or (kind == "B" and width != before):
            count += before * width + 2 * width
        if kind == "C":
            count += (n - 1) * (width * width + 2 * width)
        before = width
    return count


def block_parameters(kernels: list[int], depth: int, k: int = 2) -> int:
    """Count WRN-depth-k of blocks B(M) for 10 classes by the paper's text: BN-ReLU-conv units, no bias."""
    n = (depth - 4) // 6
    count = 27 * 16 + 2 * 64 * k + (64 * k + 1) * 10  # conv1, last BN, head
    before = 16
    for width in (16 * k, 32 * k, 64 * k):
        convolutions = sum(kernel**2 for kernel in kernels) * width * width
        count += n * (convolutions + 2 * width * len(kernels))
        count -= (width - before) * (kernels[0] ** 2 * width + 2)  # the first of all is narrower at its input
        count += before * width  # shortcut
        before = width
    return count


# network, classes, channels, options, parameters without running statistics
PARAMETERS: list[tuple[str, int, int, dict[str, Any], int]] = [
    # Zagoruyko and Komodakis 2016, 10 and 100 classes
    ("wrn_10_1", 10, 3, {}, 77_850),
    ("wrn_16_1", 10, 3, {}, 175_066),
    ("wrn_16_2", 10, 3, {}, 691_674),
    ("wrn_16_4", 10, 3, {}, 2_748_890),
    ("wrn_16_8", 10, 3, {}, 10_961_370),
    ("wrn_16_10", 10, 3, {}, 17_116_634),
    ("wrn_22_2", 10, 3, {}, 1_079_642),
    ("wrn_22_8", 10, 3, {}, 17_158_106),
    ("wrn_28_1", 10, 3, {}, 369_498),
    ("wrn_28_2", 10, 3, {}, 1_467_610),
    ("wrn_28_10", 10, 3, {}, 36_479_194),
    ("wrn_28_12", 10, 3, {}, 52_517_850),
    ("wrn_40_1", 10, 3, {}, 563_930),
    ("wrn_40_2", 10, 3, {}, 2_243_546),
    ("wrn_40_4", 10, 3, {}, 8_949_210),
    ("wrn_40_8", 10, 3, {}, 35_748_314),
    ("wrn_16_2", 100, 3, {}, 703_284),
    ("wrn_16_4", 100, 3, {}, 2_772_020),
    ("wrn_16_8", 100, 3, {}, 11_007_540),
    ("wrn_16_10", 100, 3, {}, 17_174_324),
    ("wrn_22_8", 100, 3, {}, 17_204_276),
    ("wrn_28_2", 100, 3, {}, 1_479_220),
    ("wrn_28_10", 100, 3, {}, 36_536_884),
    ("wrn_28_12", 100, 3, {}, 52_587_060),
    ("wrn_40_1", 100, 3, {}, 569_780),
    ("wrn_40_2", 100, 3, {}, 2_255_156),
    ("wrn_40_4", 100, 3, {}, 8_972_340),
    ("wrn_40_8", 100, 3, {}, 35_794_484),
    # its table 3: the same convolutions in blocks of 1, 2, 3, 4
    ("wrn_40_2", 10, 3, {"deepening_factor": 1}, 2_243_546),
    ("wrn_40_2", 10, 3, {"deepening_factor": 2}, 2_243_546),
    ("wrn_40_2", 10, 3, {"deepening_factor": 3}, 2_243_546),
    ("wrn_40_2", 10, 3, {"deepening_factor": 4}, 2_243_546),
    # the bird tutorial, and without its biases
    ("wrn_28_1", 4, 3, {"conv_bias": True}, 370_116),
    ("wrn_28_1", 4, 3, {}, 369_108),
    # the CIFAR-10 comparison
    ("googlenet_cifar", 10, 3, {}, 260_650),
    ("resnet_cifar", 10, 3, {}, 272_378),
    ("preact_resnet_cifar", 10, 3, {}, 272_250),
    ("densenet_cifar", 10, 3, {}, 239_146),
    # Dive into Deep Learning, grey and colour: the 64 kernels of 7 x 7 are two channels deeper
    ("resnet18_d2l", 10, 1, {}, 11_178_378),
    ("resnet18_d2l", 10, 3, {}, 11_178_378 + 2 * 64 * 49),
    ("densenet_d2l", 10, 1, {}, 758_226),
    ("densenet_d2l", 10, 3, {}, 758_226 + 2 * 64 * 49),
    # the flower tutorial
    ("flowernet", 5, 3, {}, 258_735),
    # He et al. 2015, CIFAR-10
    ("resnet20", 10, 3, {}, 269_722),
    ("resnet32", 10, 3, {}, 464_154),
    ("resnet44", 10, 3, {}, 658_586),
    ("resnet56", 10, 3, {}, 853_018),
    ("resnet110", 10, 3, {}, 1_727_962),
    # Tan and Le 2019, the Lite variant
    ("efficientnet_lite0", 1000, 3, {}, 4_652_008),
    ("efficientnet_lite1", 1000, 3, {}, 5_416_680),
    ("efficientnet_lite2", 1000, 3, {}, 6_092_072),
    ("efficientnet_lite3", 1000, 3, {}, 8_197_096),
    ("efficientnet_lite4", 1000, 3, {}, 13_006_568),
    # and ImageNet, as in paddle.vision
    ("resnet18", 1000, 3, {}, 11_689_512),
    ("resnet34", 1000, 3, {}, 21_797_672),
    ("resnet50", 1000, 3, {}, 25_557_032),
    ("resnet101", 1000, 3, {}, 44_549_160),
    ("resnet152", 1000, 3, {}, 60_192_808),
    ("wide_resnet50_2", 1000, 3, {}, 68_883_240),
    ("wide_resnet101_2", 1000, 3, {}, 126_886_696),
]


@pytest.mark.parametrize(("name", "num_classes", "channels", "options", "parameters"), PARAMETERS)
def test_parameters(
    name: str, num_classes: int, channels: int, options: dict[str, Any], parameters: int
) -> None:
    with paddle.LazyGuard():  # shapes without the numbers in them
        model = create_model(name, num_classes, channels, **options)

    assert count_parameters(model) == parameters


def test_every_listed_network_is_counted() -> None:
    assert {name for name, *_ in PARAMETERS} == set(list_models())


@pytest.mark.parametrize(
    ("kernels", "depth", "parameters", "millions"),  # table 2 of the paper, k = 2
    [
        ([1, 3, 1], 40, 1_429_082, 1.4),
        ([3, 1], 40, 1_211_354, 1.2),
        ([1, 3], 40, 1_297_370, 1.3),
        ([3, 1, 1], 40, 1_343_066, 1.3),
        ([3, 3], 28, 1_467_610, 1.5),
        ([3, 1, 3], 22, 1_145_498, 1.1),
    ],
)
def test_parameters_of_the_papers_block_types(
    kernels: list[int], depth: int, parameters: int, millions: float
) -> None:
    with paddle.LazyGuard():
        model = create_model(f"wrn_{depth}_2", 10, kernels=kernels)

    assert count_parameters(model) == parameters == block_parameters(kernels, depth)
    assert round(parameters / 1e6, 1) == millions


@pytest.mark.parametrize("kind", ["A", "B", "C", "none"])
@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_parameters_of_the_shortcut_options(depth: int, kind: str) -> None:
    with paddle.LazyGuard():
        model = create_model(f"resnet{depth}", 10, shortcut=kind)

    assert count_parameters(model) == resnet_parameters(depth, kind)


def test_parameters_of_the_papers_imagenet_network() -> None:
    with paddle.LazyGuard():
        assert round(count_parameters(create_model("wide_resnet50_2", 1000)) / 1e6, 1) == 68.9


# The smallest images on which every layer still has something to do; 16 for the others
SIDE = {"flowernet": 224} | dict.fromkeys((*NAMES, "resnet18_d2l", "densenet_d2l"), 64)


@pytest.mark.parametrize("name", list_models())
def test_every_parameter_gets_a_gradient(name: str) -> None:
    paddle.seed(0)
    model = create_model(name, 3)
    model.eval()  # in training, BatchNorm takes a bias in front of it away again
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._variance.set_value(paddle.full_like(layer._variance, 2.0))  # or deep networks overflow
    side = SIDE.get(name, 16)
    images = paddle.randn([2, 3, side, side])

    paddle.nn.functional.cross_entropy(model(images), paddle.to_tensor([0, 2])).backward()

    trainable = {key: p for key, p in model.named_parameters() if not p.stop_gradient}
    assert sum(math.prod(p.shape) for p in trainable.values()) == count_parameters(model)
    for key, parameter in trainable.items():
        assert parameter.grad is not None, key
        greatest = parameter.grad.abs().max().item()
        assert 0 < greatest < math.inf, key


# One or more of each family: name, options, side of the images
BACKWARD: list[tuple[str, dict[str, Any], int]] = [
    ("wrn_10_1", {"conv_bias": True}, 9),
    ("wrn_10_1", {"kernels": [3, 1, 3]}, 9),
    ("googlenet_cifar", {}, 9),
    ("resnet_cifar", {"activation": "leaky_relu"}, 9),
    ("preact_resnet_cifar", {"activation": "gelu"}, 9),
    ("densenet_cifar", {"activation": "tanh"}, 9),
    ("resnet20", {"shortcut": "A"}, 9),
    ("resnet20", {"shortcut": "B"}, 9),
    ("resnet20", {"shortcut": "C"}, 9),
    ("resnet20", {"shortcut": "none"}, 9),
    ("resnet20", {"block": "bottleneck", "shortcut": "A"}, 9),
    ("resnet18_d2l", {}, 64),
    ("densenet_d2l", {}, 64),
    ("flowernet", {}, 224),
    ("resnet18", {}, 64),
    ("efficientnet_lite0", {"drop_rate": 0.0}, 64),
]


@pytest.fixture
def float64() -> Iterator[None]:
    """Build networks in double precision, in which differences of nearly equal numbers mean something."""
    paddle.set_default_dtype("float64")
    yield
    paddle.set_default_dtype("float32")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("name", "options", "side"), BACKWARD)
def test_the_gradient_is_the_slope(name: str, options: dict[str, Any], side: int) -> None:
    """Compare the derivative along a random direction of all parameters with a central difference."""
    paddle.seed(1)
    rng = np.random.default_rng(1)
    model = create_model(name, 4, **options)  # in training mode: BatchNorm uses the batch
    images, weights = paddle.randn([3, 3, side, side]), paddle.randn([3, 4])
    trainable = [p for p in model.parameters() if not p.stop_gradient]
    starts = [p.numpy().copy() for p in trainable]
    direction = [rng.normal(0, start.std() or 1, start.shape) for start in starts]

    def loss(step: float) -> paddle.Tensor:
        for parameter, start, way in zip(trainable, starts, direction, strict=True):
            parameter.set_value(start + step * way)
        return (weights * model(images)).sum()

    loss(0).backward()
    slope = sum((p.grad.numpy() * way).sum() for p, way in zip(trainable, direction, strict=True))
    with paddle.no_grad():  # a small step: further off, max pooling and ReLU have kinks
        difference = (loss(1e-8).item() - loss(-1e-8).item()) / 2e-8

    assert abs(slope) > 1e-3
    assert difference == pytest.approx(slope, rel=1e-4)


def test_the_package_offers_the_networks() -> None:
    assert paddle_wrn.create_model is create_model
    assert paddle_wrn.WideResNet is WideResNet
    with pytest.raises(AttributeError, match="no_such_name"):
        paddle_wrn.no_such_name  # noqa: B018


def test_running_statistics_are_no_parameters() -> None:
    assert count_parameters(paddle.nn.BatchNorm2D(5)) == 10


def test_the_summary_of_wrn_10_1_is_the_one_made_by_hand() -> None:
    summary = summarise(create_model("wrn_10_1", 10), (3, 32, 32))

    found = {row.name: (row.output_shape, row.parameters, row.multiply_adds) for row in summary.rows}
    assert found == WRN_10_1
    assert summary.parameters == 77_850
    assert summary.multiply_adds == 12_501_632
    assert {row.kind for row in summary.rows} == {"Conv2D", "BatchNorm2D", "Linear"}


def test_the_summarys_text_ends_with_the_totals() -> None:
    text = str(summarise(create_model("wrn_10_1", 10), (3, 32, 32)))

    assert text.splitlines()[-1] == "input 3 x 32 x 32: 77,850 parameters, 12,501,632 multiply-adds an image"
    assert "group2.layer.0.shortcut" in text
    assert "32 x 16 x 16" in text


def test_layers_stand_in_the_order_of_the_data() -> None:
    names = [row.name for row in summarise(create_model("wrn_10_1", 10), (3, 8, 8)).rows]

    assert names[0] == "conv1"
    assert names[-2:] == ["bn", "fc"]
    assert names.index("group1.layer.0.conv2") < names.index("group2.layer.0.bn1")


@pytest.mark.parametrize("training", [True, False])
def test_a_summary_changes_nothing_in_the_network(training: bool) -> None:
    model = create_model("wrn_10_1", 4, drop_rate=0.5)
    model.train() if training else model.eval()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}

    summarise(model, (3, 16, 16))

    assert {layer.training for layer in model.sublayers(include_self=True)} == {training}
    assert all(np.array_equal(before[name], value.numpy()) for name, value in model.state_dict().items())
    assert not any(layer._forward_post_hooks for layer in model.sublayers())


def test_the_mode_is_restored_when_the_network_refuses_the_image() -> None:
    model = create_model("wrn_10_1", 4)

    with pytest.raises(ValueError, match="channel"):
        summarise(model, (1, 16, 16))

    assert model.training
    assert not any(layer._forward_post_hooks for layer in model.sublayers())
