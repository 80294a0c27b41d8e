"""Tests of the learning rate and the optimizers."""

import math
from typing import Any

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from paddle import nn
from rounding import assert_equal_to_rounding, rounding

from paddle_wrn.config import OptimizerConfig, ScheduleConfig
from paddle_wrn.models import create_model
from paddle_wrn.training.optimization import learning_rate, make_optimizer

pytestmark = pytest.mark.numeric

PEAK = 0.4
OPERATIONS = 30  # of an optimizer on a number, in three steps at most


@pytest.mark.parametrize(
    ("schedule", "epoch", "share"),
    [
        ({"name": "constant", "warmup": 0}, 0, 1),
        ({"name": "constant", "warmup": 0}, 99.5, 1),
        ({"name": "constant", "warmup": 0.1}, 0, 0),
        ({"name": "constant", "warmup": 0.1}, 2.5, 0.25),
        ({"name": "constant", "warmup": 0.1}, 9.75, 0.975),
        ({"name": "constant", "warmup": 0.1}, 10, 1),
        ({"name": "cosine", "warmup": 0}, 0, 1),
        ({"name": "cosine", "warmup": 0}, 25, 0.5 + math.sqrt(0.125)),
        ({"name": "cosine", "warmup": 0}, 50, 0.5),
        ({"name": "cosine", "warmup": 0}, 100, 0),
        ({"name": "cosine", "warmup": 0.2}, 10, 0.5),
        ({"name": "cosine", "warmup": 0.2}, 20, 1),
        ({"name": "cosine", "warmup": 0.2}, 60, 0.5),
        ({"name": "cosine", "warmup": 0.2}, 100, 0),
        ({"name": "step", "warmup": 0, "milestones": (0.3, 0.6), "gamma": 0.2}, 0, 1),
        ({"name": "step", "warmup": 0, "milestones": (0.3, 0.6), "gamma": 0.2}, 29.99, 1),
        ({"name": "step", "warmup": 0, "milestones": (0.3, 0.6), "gamma": 0.2}, 30, 0.2),
        ({"name": "step", "warmup": 0, "milestones": (0.3, 0.6), "gamma": 0.2}, 59.99, 0.2),
        ({"name": "step", "warmup": 0, "milestones": (0.3, 0.6), "gamma": 0.2}, 60, 0.04),
        ({"name": "step", "warmup": 0, "milestones": (0.6, 0.3), "gamma": 0.2}, 100, 0.04),
        ({"name": "step", "warmup": 0.1, "milestones": (0.3,), "gamma": 0.5}, 5, 0.5),
    ],
)
def test_the_learning_rate_at_a_moment(schedule: dict[str, object], epoch: float, share: float) -> None:
    found = learning_rate(ScheduleConfig(**schedule), PEAK, epoch, 100)

    assert found == pytest.approx(PEAK * share, abs=1e-12)


def test_the_papers_steps() -> None:
    schedule = ScheduleConfig(name="step", warmup=0, milestones=(0.3, 0.6, 0.8), gamma=0.2)

    rates = [learning_rate(schedule, 0.1, epoch, 200) for epoch in (0, 60, 120, 160, 199)]

    assert rates == pytest.approx([0.1, 0.02, 0.004, 0.0008, 0.0008])


def arrays_of(model: nn.Layer) -> dict[str, NDArray[np.float32]]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ({"name": "sgd", "nesterov": False}, lambda p: p * (1 - 0.1 * 0.02)),
        ({"name": "sgd", "nesterov": True}, lambda p: p * (1 - 0.1 * 0.02 * 1.9)),  # looks one step ahead
        ({"name": "adam"}, lambda p: p - 0.1 * np.sign(p)),  # of any gradient, the first step is of size lr
        ({"name": "adamw"}, lambda p: p * (1 - 0.1 * 0.02)),
    ],
    ids=["sgd", "nesterov", "adam", "adamw"],
)
def test_decay_moves_all_that_is_trained_and_no_statistics(kind: dict[str, object], expected: Any) -> None:
    model = create_model("wrn_10_1", 4, conv_bias=True)
    rng = np.random.default_rng(0)
    for value in model.state_dict().values():  # nothing near zero, where adam's epsilon would show
        value.set_value((rng.uniform(0.2, 1, value.shape) * rng.choice([-1, 1])).astype(np.float32))
    optimizer = make_optimizer(OptimizerConfig(**kind, lr=0.1, momentum=0.9, weight_decay=0.02), model)
    before = arrays_of(model)

    sum((p * 0).sum() for p in model.parameters() if not p.stop_gradient).backward()
    optimizer.step()

    after = arrays_of(model)
    statistics = {name for name in after if name.endswith(("_mean", "_variance"))}
    trained = set(after) - statistics
    assert {"bn._mean", "bn._variance"} <= statistics
    assert {"conv1.weight", "conv1.bias", "bn.weight", "bn.bias", "fc.weight", "fc.bias"} <= trained
    for name in statistics:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    for name in trained:
        assert_equal_to_rounding(after[name], expected(before[name]), terms=OPERATIONS, name=name)


def first_step(config: OptimizerConfig, weight: float, gradients: list[float]) -> float:
    layer = nn.Linear(1, 1, bias_attr=False)
    layer.weight.set_value(np.full((1, 1), weight, np.float32))
    optimizer = make_optimizer(config, layer)
    for gradient in gradients:
        (layer.weight * gradient).sum().backward()
        optimizer.step()
        optimizer.clear_grad()
    return layer.weight.item()


def test_sgd_is_nesterovs_with_l2() -> None:
    config = OptimizerConfig(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    weight, velocity = 2.0, 0.0
    for gradient in (1.0, -0.5, 0.25):
        total = gradient + 0.01 * weight
        velocity = 0.9 * velocity + total
        weight -= 0.1 * (total + 0.9 * velocity)

    assert first_step(config, 2.0, [1.0, -0.5, 0.25]) == pytest.approx(weight, abs=rounding(OPERATIONS, 2.0))


def test_sgd_without_nesterov_is_plain_momentum() -> None:
    config = OptimizerConfig(name="sgd", lr=0.1, momentum=0.5, nesterov=False, weight_decay=0)

    assert first_step(config, 2.0, [1.0, 1.0]) == pytest.approx(
        2.0 - 0.1 - 0.15, abs=rounding(OPERATIONS, 2.0)
    )


def test_adam_takes_a_first_step_of_its_learning_rate() -> None:
    config = OptimizerConfig(name="adam", lr=0.01, weight_decay=0)

    assert first_step(config, 2.0, [37.0]) == pytest.approx(1.99, abs=rounding(OPERATIONS, 2.0))


def test_adamw_decays_apart_from_the_gradient() -> None:
    config = OptimizerConfig(name="adamw", lr=0.01, weight_decay=0.5)

    assert first_step(config, 2.0, [37.0]) == pytest.approx(
        2.0 * (1 - 0.01 * 0.5) - 0.01, abs=rounding(OPERATIONS, 2.0)
    )
    assert first_step(config, 2.0, [0.0]) == pytest.approx(1.99, abs=rounding(OPERATIONS, 2.0))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_learning_rate_can_be_set_before_each_step(name: str) -> None:
    layer = nn.Linear(2, 2)
    optimizer = make_optimizer(OptimizerConfig(name=name, lr=0.1), layer)
    before = layer.weight.numpy().copy()

    optimizer.set_lr(0.0)
    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()

    assert np.array_equal(layer.weight.numpy(), before)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_what_is_frozen_stays(name: str) -> None:
    layer = nn.Linear(2, 2)
    layer.bias.set_value(paddle.ones([2]))
    layer.bias.stop_gradient = True
    optimizer = make_optimizer(OptimizerConfig(name=name), layer)
    before = arrays_of(layer)

    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()

    assert np.array_equal(arrays_of(layer)["bias"], before["bias"])
    assert (arrays_of(layer)["weight"] != before["weight"]).all()
