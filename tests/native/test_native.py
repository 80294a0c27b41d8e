"""The fast way computes what Paddle computes, and steps aside where it cannot."""

import gc
import logging
import threading
from collections.abc import Callable
from pathlib import Path
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
from rounding import additions, assert_equal_to_rounding, truths

from paddle_wrn import native
from paddle_wrn.models import create_model
from paddle_wrn.native import accelerate, onednn
from paddle_wrn.native.recording import record
from paddle_wrn.native.tape import UnsupportedError, folded


@pytest.mark.numeric
@pytest.mark.parametrize("bias", [None, False])
@pytest.mark.parametrize("stride", [1, 2, (1, 3)])
@pytest.mark.parametrize(
    ("kernel", "padding"), [(1, 0), (3, 1), (3, 0), (5, 2), (7, 3), (3, (0, 2)), ((1, 3), (0, 0, 2, 1))]
)
def test_a_convolution_is_paddles(kernel: Any, padding: Any, stride: Any, bias: bool | None) -> None:
    layer = nn.Conv2D(5, 6, kernel, stride, padding, bias_attr=bias)
    assert_same(Net(layer), images_of(2, 9, 11))


@pytest.mark.numeric
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 7, 7), (1, 8, 5), (3, 13, 16), (5, 32, 32)])
def test_odd_sizes_and_single_images(batch: int, height: int, width: int) -> None:
    assert_same(Net(nn.Conv2D(5, 6, 3, 2, 1)), images_of(batch, height, width))


@pytest.mark.numeric
@pytest.mark.parametrize("channels", [1, 3, 16, 17, 32, 48])
def test_any_number_of_channels(channels: int) -> None:
    assert_same(Net(nn.Conv2D(5, channels, 3, padding=1), channels), images_of(2, 8, 8))


@pytest.mark.numeric
def test_dilation() -> None:
    assert_same(Net(nn.Conv2D(5, 6, 3, padding=2, dilation=2)), images_of(2, 9, 9))


FORWARDS: dict[str, Callable[..., Tensor]] = {
    "bn": lambda block, x: block.bn(x),
    "bn relu": lambda block, x: F.relu(block.bn(x)),
    "bn used twice": lambda block, x: block.conv1(F.relu(h := block.bn(x))) + h,
    "relu alone": lambda block, x: block.conv2(F.relu(block.conv1(x))),
    "sum": lambda block, x: block.conv1(x) + block.conv2(x),
    "sum with input": lambda block, x: block.conv1(x) + x,
    "sum with itself": lambda block, x: block.conv1(x + x),
    "sum of three": lambda block, x: (block.conv1(x) + x) + block.conv2(x),
    "sum, then one of them again": lambda block, x: block.conv2((h := block.conv1(x)) + x) + h,
    "shortcut computed last": lambda block, x: block.conv1(h := F.relu(block.bn(x))) + block.conv2(h) + h,
    "sum, relu": lambda block, x: F.relu(block.bn(block.conv1(x)) + x),
    "sum of what is normalised": lambda block, x: F.relu(block.bn(block.conv1(x)) + block.conv2(x)),
    "normalised sum": lambda block, x: F.relu(block.bn(block.conv1(x) + block.conv2(x))),
    "normalised, then one of them again": lambda block, x: block.bn(h := block.conv1(x)) + h,
    "leaky relu of a sum": lambda block, x: F.leaky_relu(block.bn(block.conv1(x)) + x, 0.2),
    "leaky relu": lambda block, x: F.leaky_relu(block.conv1(x), 0.2),
    "maximum": lambda block, x: F.max_pool2d(block.conv1(x), 3, 2, 1),
    "maximum of single pixels": lambda block, x: F.max_pool2d(block.conv1(x), 1, 2),
    "mean": lambda block, x: F.avg_pool2d(block.conv1(x), 2, 2),
    "mean at the border": lambda block, x: F.avg_pool2d(block.conv1(x), (3, 2), (2, 1), 1),
}
WIDER: dict[str, Callable[..., Tensor]] = {  # from 5 channels to 10
    "concatenation": lambda block, x: paddle.concat([block.conv1(x), x], axis=1),
    "concatenation with itself": lambda block, x: paddle.concat([x, x], axis=1),
    "concatenation, then one of them again": lambda block, x: paddle.concat(
        [(h := block.conv1(x)), block.conv2(h)], axis=1
    ),
    "channels of zeros": lambda block, x: F.pad(block.conv1(x), [0, 0, 0, 5, 0, 0, 0, 0]),
    "channels of zeros in a sum": lambda block, x: (
        F.pad(x, [0, 0, 0, 5, 0, 0, 0, 0]) + paddle.concat([block.conv1(x), block.conv2(x)], 1)
    ),
}


@pytest.mark.numeric
@pytest.mark.parametrize("name", FORWARDS)
def test_layers_in_any_order(name: str) -> None:
    assert_same(Net(Block(FORWARDS[name]), 5), images_of(4, 6, 7))


@pytest.mark.numeric
def test_layers_of_paddle_that_call_functions() -> None:
    body = nn.Sequential(nn.Conv2D(3, 6, 3), nn.ReLU(), nn.BatchNorm2D(6), nn.ReLU())
    assert_same(
        nn.Sequential(body, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(6, 4)), images_of(3, 9, 8)
    )


@pytest.mark.numeric
def test_a_flattened_map() -> None:
    flat = nn.Sequential(nn.Conv2D(3, 6, 3), nn.MaxPool2D(2), nn.Flatten(), nn.Linear(6 * 3 * 4, 4))
    assert_same(flat, images_of(5, 8, 10))
    assert_same(nn.Sequential(nn.Conv2D(3, 6, 3), nn.Flatten(), nn.Linear(6 * 6 * 8, 4)), images_of(5, 8, 10))


def test_in_evaluation_convolutions_do_what_follows_them() -> None:
    tape = record(create_model("wrn_16_4", 4), (3, 32, 32))
    left = [node.kind for node in folded(tape.nodes)]
    assert sum(node.kind == "batch_norm" for node in tape.nodes) == 13
    assert left.count("batch_norm") == 3  # in front of the blocks whose input is a summand as well
    assert left.count("convolution") == sum(node.kind == "convolution" for node in tape.nodes)
    assert set(left) == {"convolution", "batch_norm", "dropout", "average_pool", "flatten"}
    assert not any(len(node.after) > 1 for node in tape.nodes)  # as training needs them


@pytest.mark.numeric
@pytest.mark.parametrize("name", WIDER)
def test_more_channels(name: str) -> None:
    assert_same(Net(Block(WIDER[name]), 10), images_of(4, 6, 7))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param("googlenet_cifar", 16, marks=pytest.mark.numeric),
        pytest.param("resnet_cifar", 16, marks=pytest.mark.numeric),
        ("preact_resnet_cifar", 16),
        ("densenet_cifar", 16),
        pytest.param("resnet20", 16, marks=pytest.mark.numeric),
        ("resnet18", 64),
        ("resnet18_d2l", 64),
        ("densenet_d2l", 64),
        ("flowernet", 224),
    ],
)
def test_the_other_networks_are_paddles_too(name: str, size: int) -> None:
    paddle.seed(0)
    assert_same(create_model(name, 4), images_of(4, size, size))


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("options", "size"),
    [({}, 32), ({"conv_bias": True}, 20), ({"strides": (2, 2, 2, 2)}, 33)],
)
def test_a_wide_resnet_is_paddles(options: dict[str, Any], size: int) -> None:
    paddle.seed(0)
    model = create_model("wrn_10_2", 4, **options)
    assert_same(model, images_of(6, size, size))


@pytest.mark.numeric
def test_evaluation_uses_the_running_statistics() -> None:
    model = create_model("wrn_10_1", 4, drop_rate=0.5)
    forward = accelerate(model)
    for _ in range(3):
        forward(images_of(4, 16, 16))
    model.eval()
    with paddle.no_grad():
        expected, found = model(images_of(3, 16, 16)), forward(images_of(3, 16, 16))
    assert_equal_to_rounding(found, expected, terms=additions(model))
    assert forward.obstacle is None


@pytest.mark.numeric
def test_ten_steps_learn_the_same() -> None:
    paddle.seed(1)
    model = create_model("wrn_10_1", 4)
    labels = paddle.arange(8) % 4

    def losses(model: nn.Layer, forward: Callable[[Tensor], Tensor], images: Tensor) -> dict[str, Any]:
        optimizer = paddle.optimizer.Momentum(0.05, use_nesterov=True, parameters=model.parameters())
        found = []
        for _ in range(10):
            loss = F.cross_entropy(forward(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            found.append(loss.item())
        return {"losses": np.array(found)}

    images = images_of(8, 16, 16)
    expected = truths(model, lambda twin: losses(twin, twin, images.astype("float64")))["losses"]
    assert expected.value[-1] < 1.0
    expected.check(losses(model, accelerate(model), images)["losses"])


def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    layer = nn.Sequential(nn.Dropout(0.25), nn.Conv2D(5, 6, 1, bias_attr=False))
    model = Net(layer)
    model.first.weight.set_value(paddle.zeros_like(model.first.weight))
    model.first.bias = model.first.create_parameter([5], default_initializer=nn.initializer.Constant(1.0))
    layer[1].weight.set_value(paddle.ones_like(layer[1].weight) / 5)
    model.fc.weight.set_value(paddle.eye(6, 4))
    model.fc.bias.set_value(paddle.zeros([4]))
    forward = accelerate(model)
    means = [float(forward(images_of(8, 32, 32)).mean()) for _ in range(2)]
    assert forward.obstacle is None
    assert means == pytest.approx([1.0, 1.0], abs=0.02)
    assert means[0] != means[1]
    scale = 4 / 3
    one_pixel = [forward(images_of(1, 1, 1))[0, 0].item() for _ in range(40)]
    assert {round(value * 5 / scale, 3) for value in one_pixel} <= {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert 2.5 < np.mean(one_pixel) * 5 / scale < 5.0


@pytest.mark.numeric
def test_dropout_has_its_gradient_and_paddles_seed() -> None:
    model = create_model("wrn_10_1", 4, drop_rate=0.5)
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    forward = accelerate(model)
    images, direction = images_of(2, 8, 8), np.random.default_rng(1).normal(size=[64, 4]).astype("float32")

    def loss() -> Tensor:
        model.set_state_dict({name: paddle.to_tensor(value) for name, value in state.items()})
        paddle.seed(3)
        return forward(images).sum()

    first, again = loss(), loss()
    assert first.item() == again.item()
    again.backward()
    slope = float((model.fc.weight.grad * paddle.to_tensor(direction)).sum())
    values = []
    for sign in (1, -1):
        state["fc.weight"] = state["fc.weight"] + sign * 0.01 * direction
        values.append(loss().item())
        state["fc.weight"] = state["fc.weight"] - sign * 0.01 * direction
    assert (values[0] - values[1]) / 0.02 == pytest.approx(slope, rel=1e-2)


@pytest.mark.numeric
def test_runs_are_bit_for_bit_the_same() -> None:
    model = create_model("wrn_10_2", 4)
    results = []
    for _ in range(3):
        found = trained_once(model, accelerate(model), images_of(6, 20, 20))
        results.append(
            {name: found[name] for name in ("logits", "conv1.weight", "group3.layer.0.bn1.weight")}
        )
    for name in results[0]:
        assert results[0][name].tobytes() == results[1][name].tobytes() == results[2][name].tobytes()


@pytest.mark.numeric
def test_gradients_add_up_and_frozen_parameters_have_none() -> None:
    model = create_model("wrn_10_1", 4)
    model.conv1.weight.stop_gradient = True
    forward = accelerate(model)
    one, two = images_of(2, 16, 16), images_of(2, 16, 16) + 1
    logits = [forward(one), forward(two)]  # both passes are open at once
    for result in reversed(logits):
        result.square().sum().backward()
    together = model.bn.weight.grad.numpy()
    assert model.conv1.weight.grad is None
    model.clear_gradients()
    alone = []
    for images in (one, two):
        forward(images).square().sum().backward()
        alone.append(model.bn.weight.grad.numpy().copy())
        model.clear_gradients()
    assert_equal_to_rounding(together, alone[0] + alone[1], terms=1)


def test_threads_do_not_disturb_one_another() -> None:
    model = create_model("wrn_10_1", 4)
    model.eval()
    forward = accelerate(model)
    batches = [images_of(4, 16, 16) + i for i in range(4)]
    with paddle.no_grad():
        expected = [forward(batch).numpy() for batch in batches]
    wrong: list[int] = []

    def work(number: int) -> None:
        with paddle.no_grad():
            for _ in range(10):
                if forward(batches[number]).numpy().tobytes() != expected[number].tobytes():
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_memory_does_not_grow() -> None:
    model = create_model("wrn_10_1", 4)
    forward = accelerate(model)

    def train(steps: int) -> int:
        for number in range(steps):
            forward(images_of(1 + number % 4, 16, 16)).sum().backward()
            model.clear_gradients()
        forward(
            images_of(5 + steps % 7, 16, 16)
        )  # a shape more than is kept, and a way back that is never gone
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096

    before = train(30)
    assert train(200) < before + 8 * 2**20


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
        (nn.Conv2D(5, 5, 3, padding=1, padding_mode="reflect"), "this kind of Conv2D"),
        (nn.Conv2D(5, 5, 3, padding="VALID"), "this kind of Conv2D"),
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


def test_a_frozen_network_needs_no_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("wrn_10_1", 4)
    for name, parameter in model.named_parameters():
        parameter.stop_gradient = not name.startswith("fc")
    forward = accelerate(model)
    forward(images_of(2, 16, 16)).sum().backward()
    assert model.fc.weight.grad is not None
    monkeypatch.setattr(native, "Step", None)
    forward(images_of(2, 16, 16)).sum().backward()
    assert forward.obstacle is None


@pytest.mark.numeric
def test_a_head_learns_on_a_frozen_network_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("wrn_10_1", 4)
    model.eval()
    for name, parameter in model.named_parameters():
        parameter.stop_gradient = not name.startswith("fc")
    expected = trained_once(model, model, images_of(2, 16, 16))["fc.weight"]
    model.clear_gradients()
    forward = accelerate(model)
    forward(images_of(2, 16, 16))  # compared with the model
    monkeypatch.setattr(model, "forward", None)  # would fail
    found = trained_once(model, forward, images_of(2, 16, 16))["fc.weight"]
    assert_equal_to_rounding(found, expected, terms=additions(model))


@pytest.mark.numeric
@pytest.mark.parametrize("name", ["wrn_16_1", "densenet_cifar", "googlenet_cifar", "resnet20"])
def test_memory_that_is_used_again_holds_what_is_needed(name: str) -> None:
    paddle.seed(0)
    model = create_model(name, 4)
    model.eval()
    forward = accelerate(model)
    with paddle.no_grad():
        for shift in range(3):  # what one pass leaves behind must not reach the next
            images = images_of(3, 16, 16) + shift
            found, expected = forward(images).numpy(), model(images).numpy()
            assert_equal_to_rounding(found, expected, terms=additions(model))
    assert forward.obstacle is None


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
