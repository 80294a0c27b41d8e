"""The fast way steps aside where it cannot do what Paddle does."""

import logging
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from native_networks import Block, Net, images_of
from paddle import Tensor, nn

from paddle_wrn import native
from paddle_wrn.models import create_model
from paddle_wrn.native import accelerate, onednn
from paddle_wrn.native.recording import record
from paddle_wrn.native.tape import UnsupportedError

pytestmark = pytest.mark.usefixtures("needs_onednn", "two_threads")


def test_paddles_own_settings_are_left_as_they_were() -> None:
    call, relu = nn.Layer.__call__, F.relu
    for runtime in native._openmp():
        runtime.omp_set_num_threads(3)
    model = create_model("wrn_10_1", 4)
    accelerate(model)(images_of(2, 16, 16)).sum().backward()
    assert (nn.Layer.__call__, F.relu) == (call, relu)
    assert [runtime.omp_get_max_threads() for runtime in native._openmp()] == [3, 3]
    with pytest.raises(UnsupportedError):
        record(Net(nn.Sigmoid(), 5), (3, 8, 8))
    assert (nn.Layer.__call__, F.relu) == (call, relu)


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (nn.Conv2D(5, 5, 3, groups=5), "this kind of Conv2D"),
        (nn.Conv2D(5, 5, 3, padding=1, padding_mode="reflect"), "this kind of Conv2D"),
        (nn.Conv2D(5, 5, 3, padding="SAME"), "this kind of Conv2D"),
        (nn.BatchNorm2D(5, weight_attr=False), "this kind of BatchNorm2D"),
        (nn.BatchNorm2D(5, use_global_stats=True), "this kind of BatchNorm2D"),
        (nn.Dropout(0.5, axis=1), "this kind of Dropout"),
        (nn.MaxPool2D(2, ceil_mode=True), "an unusual pool"),
        (nn.MaxPool2D(2, padding="SAME"), "an unusual pool"),
        (nn.AvgPool2D(2, padding=1, exclusive=False), "counts more than the pixels"),
        (nn.Sigmoid(), "the function sigmoid"),
        (Block(lambda block, x: F.pad(x, [1, 1, 1, 1])), "a padding of something else"),
        (Block(lambda block, x: paddle.concat([x, x], axis=2)), "a concatenation of something else"),
        (Block(lambda block, x: x * 2), "unsupported operand"),
        (Block(lambda block, x: x + 1), "a sum with something that is no layer's result"),
        (Block(lambda block, x: block.conv1(block.conv1(x))), "a layer that is used twice"),
        (Block(lambda block, x: x if block.bn(x).mean() > 0 else block.bn(x)), "no attribute 'mean'"),
    ],
)
def test_what_is_not_known_is_left_to_paddle(
    layer: nn.Layer, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = Net(layer, 5)
    model.eval()
    forward = accelerate(model)
    with caplog.at_level(logging.INFO), paddle.no_grad():
        for _ in range(2):
            np.testing.assert_array_equal(
                forward(images_of(2, 9, 9)).numpy(), model(images_of(2, 9, 9)).numpy()
            )
    assert forward.obstacle is not None
    assert sentence in forward.obstacle
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "model", [nn.Sequential(), nn.Linear(5, 4), nn.Sequential(nn.ReLU(), nn.Conv2D(3, 4, 3))]
)
def test_only_what_ends_with_a_linear_layer_is_recorded(model: nn.Layer) -> None:
    with pytest.raises(UnsupportedError, match="does not end with a linear layer"):
        record(model, (3, 8, 8))


def test_a_result_that_is_not_paddles_is_noticed() -> None:
    model = Net(Block(lambda block, x: block.conv1(x)), 5)
    forward = accelerate(model)
    model.layer.function = lambda block, x: block.conv1(x) if isinstance(x, Tensor) else block.conv2(x)
    expected = model(images_of(2, 8, 8)).numpy()
    assert (forward(images_of(2, 8, 8)).numpy() == expected).all()
    assert forward.obstacle == "this network's results differ from Paddle's"


def test_hooks_part_evaluation_and_gradients_of_images_go_through_paddle() -> None:
    model = create_model("wrn_10_1", 4)
    forward = accelerate(model)
    seen = []
    hook = model.group1.register_forward_post_hook(lambda layer, inputs, output: seen.append(output.shape))
    forward(images_of(2, 16, 16))
    assert seen == [[2, 16, 16, 16]]
    hook.remove()
    images = images_of(2, 16, 16)
    images.stop_gradient = False
    forward(images).sum().backward()
    assert images.grad is not None
    model.bn.eval()
    before = model.bn._mean.numpy().copy()
    forward(images_of(2, 16, 16))
    assert (model.bn._mean.numpy() == before).all()
    assert forward.obstacle is None


def test_parameters_of_another_type_or_shape_go_through_paddle() -> None:
    model = create_model("wrn_10_1", 4)
    model.eval()
    forward = accelerate(model)
    with paddle.no_grad():
        forward(images_of(2, 16, 16))
        block = model.group1.layer[0]
        weight = block.conv1.weight
        block.conv1.weight = paddle.create_parameter([16, 16, 1, 1], "float32")
        with pytest.raises(ValueError, match="Broadcast"):  # Paddle's own complaint about the sum
            forward(images_of(2, 16, 16))
        block.conv1.weight = weight
        model.to(dtype="float64")
        with pytest.raises((ValueError, RuntimeError, TypeError)):  # as the model itself does
            forward(images_of(2, 16, 16))


@pytest.mark.without_onednn
@pytest.mark.parametrize(
    ("major", "minor", "runtime"), [(2, 7, 2), (4, 0, 2), (3, 1, 2), (3, 7, 2), (3, 6, 4)]
)
def test_an_unknown_version_is_refused(
    major: int, minor: int, runtime: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pretended:
        def __init__(self, path: str) -> None:
            version = onednn._Version(major, minor, 0, b"", runtime, 0)
            self.dnnl_version = type("F", (), {"__call__": lambda _: onednn.ctypes.pointer(version)})()

    monkeypatch.setattr(onednn.ctypes, "CDLL", Pretended)
    with pytest.raises(onednn.OneDNNError, match="oneDNN"):
        onednn.Library(Path("libdnnl.so.3"))


@pytest.mark.without_onednn
@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "aarch64")]
)
def test_other_systems_work_without_it(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.platform, "system", lambda: system)
    monkeypatch.setattr(native.platform, "machine", lambda: machine)
    monkeypatch.setattr(native, "_library", native._library.__wrapped__)
    model = create_model("wrn_10_1", 4)
    forward = accelerate(model)
    forward(images_of(2, 16, 16)).sum().backward()
    assert forward.obstacle is not None
    assert "x86-64 Linux" in forward.obstacle
    assert model.conv1.weight.grad is not None
