"""The compiled network: it says what the network says, leaves it alone, and gives way where it cannot."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_wrn import static_inference
from paddle_wrn.models import create_model
from paddle_wrn.static_inference import BREAK_EVEN, Compiler, compile_network

Forward = static_inference.Forward


class OneLinear(nn.Layer):
    """The least network; the odd ones below are made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 8 * 8, 4)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(paddle.flatten(x, 1))


class Untraceable(OneLinear):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(paddle.flatten(paddle.to_tensor(np.asarray(x.numpy())), 1))


class Padded(OneLinear):
    """`pad` of channels corrupts memory inside oneDNN."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(paddle.flatten(nn.functional.pad(x, [0, 0, 0, 3, 0, 0, 0, 0])[:, :3], 1))


class Moody(OneLinear):
    """Answers by something that a program does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        self.calls += 1
        logits = self.fc(paddle.flatten(x, 1))
        return logits if self.calls == 1 else nn.functional.relu(logits)


def network(name: str, size: int, **options: Any) -> nn.Layer:
    """Return a network in evaluation mode whose running statistics have moved."""
    paddle.seed(0)
    model = create_model(name, 5, **options)
    model(paddle.randn([8, 3, size, size]))
    model.eval()
    return model


def photos(number: int, size: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal((number, 3, size, size), np.float32)


def itself(model: nn.Layer, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with paddle.no_grad():
        return model(paddle.to_tensor(images)).numpy()


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("wrn_10_1", 32, {}),
        ("wrn_10_1", 33, {"drop_rate": 0.3, "conv_bias": True}),
        ("wrn_16_1", 48, {"strides": [2, 1, 2, 2]}),
        ("densenet_cifar", 32, {}),
        ("googlenet_cifar", 32, {}),
        ("resnet_cifar", 32, {"activation": "gelu"}),
        ("preact_resnet_cifar", 32, {"activation": "tanh"}),
        ("flowernet", 224, {}),
        ("resnet18", 64, {}),
    ],
)
def test_the_compiled_network_says_what_the_network_says(
    name: str, size: int, options: dict[str, Any]
) -> None:
    model = network(name, size, **options)
    images = photos(5, size)
    expected = itself(model, images)
    scale = max(1, np.abs(expected).max())

    run = compile_network(model, size)

    for number in (5, 2, 1):
        np.testing.assert_allclose(run(images[:number]), expected[:number], rtol=0, atol=1e-4 * scale)
    assert np.ptp(expected, axis=0).max() > 1e-2 * scale


def test_any_number_of_photos_is_run_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_inference, "BATCH_SIZE", 3)
    model, images = network("wrn_10_1", 16), photos(7, 16)

    logits = compile_network(model, 16)(images)

    assert (logits.shape, logits.dtype) == ((7, 5), np.float32)
    np.testing.assert_allclose(logits, itself(model, images), rtol=0, atol=1e-4)


def test_the_network_stays_as_it_is() -> None:
    model, images = network("wrn_10_1", 16), photos(3, 16)
    weights = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    attributes, answer = set(vars(model)), itself(model, images)

    compile_network(model, 16)(images)

    assert not model.training
    assert set(vars(model)) == attributes
    assert {
        name for name, value in model.state_dict().items() if (value.numpy() == weights[name]).all()
    } == set(weights)
    np.testing.assert_array_equal(itself(model, images), answer)


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = network("wrn_10_1", 16)

    run = compile_network(model, 16)

    assert list(tmp_path.iterdir()) == []
    np.testing.assert_allclose(run(photos(2, 16)), itself(model, photos(2, 16)), rtol=0, atol=1e-4)


def test_a_few_photos_are_left_to_the_network_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def compile_(model: nn.Layer, size: int) -> Forward:
        compiled.append(size)
        return lambda images: images

    monkeypatch.setattr(static_inference, "compile_network", compile_)
    compiler = Compiler(OneLinear(), 8)

    assert [compiler.forward(1) for _ in range(BREAK_EVEN - 1)] == [None] * (BREAK_EVEN - 1)
    assert compiled == []
    assert compiler.forward(1) is not None
    assert compiler.forward(1) is not None
    assert compiled == [8]
    assert Compiler(OneLinear(), 8).forward(BREAK_EVEN) is not None


def test_a_graphics_card_runs_the_network_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")

    assert Compiler(OneLinear(), 8).forward(10 * BREAK_EVEN) is None


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (Untraceable, ""),
        (Padded, "not tested with pad"),
        (Moody, "the compiled network's answers differ"),
    ],
)
def test_an_odd_network_runs_uncompiled_and_that_is_said_once(
    odd: type[OneLinear], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = odd()
    model.eval()
    compiler = Compiler(model, 8)

    with caplog.at_level(logging.INFO, "paddle_wrn"):
        assert [compiler.forward(BREAK_EVEN) for _ in range(3)] == [None] * 3

    (line,) = caplog.messages
    assert line.startswith(f"evaluation runs without compiling the network: {reason}")
    assert itself(model, photos(2, 8)).shape == (2, 4)


@pytest.mark.parametrize("broken", ["create_predictor", "Config"])
def test_a_paddle_that_cannot_run_programs_runs_the_network_itself(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("first line\nno such backend\n")

    monkeypatch.setattr(paddle.inference, broken, fail)
    model = OneLinear()
    model.eval()

    with caplog.at_level(logging.INFO, "paddle_wrn"):
        assert Compiler(model, 8).forward(BREAK_EVEN) is None

    assert caplog.messages == ["evaluation runs without compiling the network: no such backend"]
