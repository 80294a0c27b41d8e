"""Tests of EfficientNet-Lite against NumPy, the table of the paper and the names of the PyTorch package."""

import re

import numpy as np
import paddle
import pytest
from numpy_layers import Array, assert_he, compare, convolutions, kinds, linear, norm
from paddle import nn

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.efficientnet_lite import (
    EfficientNetLite,
    InvertedResidual,
    from_pytorch_names,
    scaled_channels,
)

# kernel, stride of the first block, expansion, as the paper lists the stages
STAGES = [(3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6)]
# (channels, blocks) of the stages of Lite0 to Lite4
SCALED = [
    [(16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1)],
    [(16, 1), (24, 3), (40, 3), (80, 4), (112, 4), (192, 5), (320, 1)],
    [(16, 1), (24, 3), (48, 3), (88, 4), (120, 4), (208, 5), (352, 1)],
    [(24, 1), (32, 3), (48, 3), (96, 5), (136, 5), (232, 6), (384, 1)],
    [(24, 1), (32, 4), (56, 4), (112, 6), (160, 6), (272, 8), (448, 1)],
]


def same_conv(x: Array, layer: nn.Conv2D) -> Array:
    """Convolve (N, C, H, W) with TensorFlow's "same" padding, each group of channels by itself."""
    weight, stride = layer.weight.numpy().astype(np.float64), layer._stride[0]
    kernel, groups = weight.shape[2], layer._groups
    sides = [-(-side // stride) for side in x.shape[2:]]
    totals = [
        max((out - 1) * stride + kernel - side, 0) for out, side in zip(sides, x.shape[2:], strict=True)
    ]
    padded = np.pad(x, [(0, 0), (0, 0), *((total // 2, total - total // 2) for total in totals)])
    grouped = padded.reshape(len(x), groups, -1, *padded.shape[2:])
    weight = weight.reshape(groups, -1, *weight.shape[1:])  # (groups, out / groups, in / groups, k, k)
    result = np.zeros((len(x), groups, weight.shape[1], *sides))
    for row in range(sides[0]):
        for column in range(sides[1]):
            top, left = stride * row, stride * column
            window = grouped[..., top : top + kernel, left : left + kernel]
            result[..., row, column] = np.einsum("ngihw,goihw->ngo", window, weight)
    return result.reshape(len(x), -1, *sides)


def unit(x: Array, layers: nn.Sequential) -> Array:
    """Convolution, batch normalisation, and ReLU6 where there are three layers."""
    x = norm(same_conv(x, layers[0]), layers[1])
    return np.clip(x, 0, 6) if len(layers) == 3 else x


def block_of_numpy(x: Array, block: InvertedResidual, *, shortcut: bool) -> Array:
    h = x if block.expand is None else unit(x, block.expand)
    h = unit(unit(h, block.depthwise), block.project)
    return x + h if shortcut else h


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("out_channels", "kernel", "stride", "expansion", "shortcut"),
    [(4, 3, 1, 6, True), (6, 3, 1, 6, False), (4, 5, 2, 6, False), (6, 3, 2, 6, False), (4, 5, 1, 1, True)],
)
@pytest.mark.parametrize("size", [(8, 9), (7, 6), (2, 1)])
def test_a_block_computes_what_numpy_computes(
    out_channels: int,
    kernel: int,
    stride: int,
    expansion: int,
    shortcut: bool,
    size: tuple[int, int],
    training: bool,
) -> None:
    block = InvertedResidual(4, out_channels, kernel, stride, expansion)
    compare(block, lambda x: block_of_numpy(x, block, shortcut=shortcut), (3, 4, *size), training=training)


def test_activations_stop_at_6() -> None:
    block = InvertedResidual(4, 4, 3, 1, 6)
    block.eval()
    for layer in (block.expand, block.depthwise):
        layer[1].bias.set_value(paddle.full_like(layer[1].bias, 100.0))
        assert layer(paddle.randn([1, layer[0]._in_channels, 3, 3])).unique().tolist() == [6.0]


@pytest.mark.parametrize("number", range(5))
def test_the_stages_are_those_of_the_paper(number: int) -> None:
    with paddle.LazyGuard():
        model = create_model(f"efficientnet_lite{number}", 10)

    expected, before = [], 32
    for (kernel, stride, expansion), (channels, blocks) in zip(STAGES, SCALED[number], strict=True):
        for position in range(blocks):
            first = position == 0
            expected.append((before, expansion * before, channels, kernel, stride if first else 1, not first))
            before = channels
    found = [
        (
            (block.expand or block.depthwise)[0]._in_channels,
            block.depthwise[0]._groups,
            block.project[0]._out_channels,
            block.depthwise[0]._kernel_size[0],
            block.depthwise[0]._stride[0],
            block.same_shape,
        )
        for block in model.blocks
    ]
    assert found == expected
    assert model.stem[0].weight.shape == [32, 3, 3, 3]
    assert model.stem[0]._stride == [2, 2]
    assert model.head[0].weight.shape == [1280, before, 1, 1]
    assert model.fc.weight.shape == [1280, 10]


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(32, 1.0, 32), (16, 1.1, 16), (24, 1.2, 32), (16, 1.2, 24), (16, 0.7, 16), (4, 1.0, 8)],
)
def test_channels_are_multiples_of_8_and_hardly_fewer(channels: int, width: float, expected: int) -> None:
    assert scaled_channels(channels, width) == expected


def test_a_network_computes_stem_blocks_head_pool_and_linear_layer_in_this_order() -> None:
    paddle.seed(0)
    model = EfficientNetLite(4)
    model.eval()
    x = paddle.randn([2, 3, 37, 70])

    h = unit(x.numpy(), model.stem)
    assert h.shape == (2, 32, 19, 35)
    h = model.blocks(paddle.to_tensor(h.astype(np.float32)))
    assert h.shape == [2, 320, 2, 3]
    h = unit(h.numpy(), model.head).mean((2, 3))

    np.testing.assert_allclose(model(x).numpy(), linear(h, model.fc), 1e-4, 1e-5)


def test_features_are_dropped_in_training_only() -> None:
    model = EfficientNetLite(1280, drop_rate=0.5)
    model.fc.weight.set_value(paddle.eye(1280))
    model.head[1].bias.set_value(paddle.full([1280], 5.0))  # so that none is 0 already
    images = paddle.randn([4, 3, 32, 32])

    features = model(images).numpy()
    model.eval()
    kept = model(images).numpy()

    assert 0.45 < (features == 0).mean() < 0.55
    assert (kept > 0).all()
    assert np.array_equal(kept, model(images).numpy())


def test_no_convolution_has_a_bias_and_all_start_as_he_et_al_say() -> None:
    paddle.seed(0)
    model = EfficientNetLite(10)

    layers = convolutions(model)
    assert len(layers) == 1 + 2 + 15 * 3 + 1
    for layer in layers:
        out_channels, _, height, width = layer.weight.shape
        assert layer.bias is None
        assert_he(layer, height * width * out_channels // layer._groups)
    assert {layer._epsilon for layer in model.sublayers() if isinstance(layer, nn.BatchNorm2D)} == {1e-3}
    three = ["Conv2D", "BatchNorm2D", "ReLU6"]
    block = [*three, *three, "Conv2D", "BatchNorm2D"]
    assert kinds(model) == [*three, *block[3:], *(block * 15), *three, "Dropout", "Linear"]


@pytest.mark.parametrize("drop_rate", [-0.1, 1.0])
def test_a_share_to_drop_is_below_1(drop_rate: float) -> None:
    with pytest.raises(UserError, match=rf"drop_rate: found {drop_rate}; it must be at least 0 and below 1"):
        create_model("efficientnet_lite0", 4, drop_rate=drop_rate)


def test_a_photo_may_have_other_channels_than_three() -> None:
    assert create_model("efficientnet_lite0", 4, 1)(paddle.randn([2, 1, 32, 32])).shape == [2, 4]


# The PyTorch package's names


def state_dict_of_the_package() -> dict[str, np.ndarray]:
    """Return tensors with the names and shapes that the PyTorch package has for Lite0, each its number."""
    shapes: dict[str, tuple[int, ...]] = {}

    def unit(convolution: str, norm: str, shape: tuple[int, ...]) -> None:
        shapes[f"{convolution}.weight"] = shape
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{name}"] = shape[:1]
        shapes[f"{norm}.num_batches_tracked"] = ()

    unit("_conv_stem", "_bn0", (32, 3, 3, 3))
    number, before = 0, 32
    for (kernel, _, expansion), (channels, blocks) in zip(STAGES, SCALED[0], strict=True):
        for _ in range(blocks):
            block, width = f"_blocks.{number}", expansion * before
            if expansion > 1:
                unit(f"{block}._expand_conv", f"{block}._bn0", (width, before, 1, 1))
            unit(f"{block}._depthwise_conv", f"{block}._bn1", (width, 1, kernel, kernel))
            unit(f"{block}._project_conv", f"{block}._bn2", (channels, width, 1, 1))
            number, before = number + 1, channels
    unit("_conv_head", "_bn1", (1280, 320, 1, 1))
    shapes |= {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}
    return {name: np.full(shape, i, np.float32) for i, (name, shape) in enumerate(shapes.items())}


def test_every_tensor_of_the_pytorch_package_finds_its_place() -> None:
    theirs = state_dict_of_the_package()
    assert len(theirs) == 296

    ours = from_pytorch_names(theirs)

    with paddle.LazyGuard():
        own = create_model("efficientnet_lite0", 1000).state_dict()
    assert {name: list(array.shape) for name, array in ours.items()} == {
        name: value.shape for name, value in own.items()
    }
    for our_name, their_name in {
        "stem.0.weight": "_conv_stem.weight",
        "stem.1._mean": "_bn0.running_mean",
        "blocks.0.depthwise.0.weight": "_blocks.0._depthwise_conv.weight",
        "blocks.0.project.1.bias": "_blocks.0._bn2.bias",
        "blocks.15.expand.0.weight": "_blocks.15._expand_conv.weight",
        "blocks.3.expand.1.weight": "_blocks.3._bn0.weight",
        "blocks.3.depthwise.1._variance": "_blocks.3._bn1.running_var",
        "head.0.weight": "_conv_head.weight",
        "head.1.bias": "_bn1.bias",
        "fc.bias": "_fc.bias",
    }.items():
        assert np.unique(ours[our_name]) == np.unique(theirs[their_name]), our_name


def test_the_linear_layer_is_transposed() -> None:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert from_pytorch_names({"_fc.weight": weight})["fc.weight"].tolist() == weight.T.tolist()


@pytest.mark.parametrize(
    "name", ["fc.weight", "_bn2.weight", "_fc.kernel", "_blocks.0._fc.weight", "_blocks.0._se_reduce.bias"]
)
def test_a_name_of_another_network_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"{name}: not a tensor of an EfficientNet-Lite")):
        from_pytorch_names({name: np.zeros(3, np.float32)})
