"""Tests of the learning rate, the optimizers and the moving average."""

import math

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.config import OptimizerConfig, ScheduleConfig
from paddle_wrn.models import create_model
from paddle_wrn.optimization import MovingAverage, learning_rate, make_optimizer

PEAK = 0.4


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
        ({"name": "step", "warmup": 0, "milestones": (30, 60), "gamma": 0.2}, 0, 1),
        ({"name": "step", "warmup": 0, "milestones": (30, 60), "gamma": 0.2}, 29.99, 1),
        ({"name": "step", "warmup": 0, "milestones": (30, 60), "gamma": 0.2}, 30, 0.2),
        ({"name": "step", "warmup": 0, "milestones": (30, 60), "gamma": 0.2}, 59.99, 0.2),
        ({"name": "step", "warmup": 0, "milestones": (30, 60), "gamma": 0.2}, 60, 0.04),
        ({"name": "step", "warmup": 0, "milestones": (60, 30), "gamma": 0.2}, 100, 0.04),
        ({"name": "step", "warmup": 0.1, "milestones": (30,), "gamma": 0.5}, 5, 0.5),
    ],
)
def test_the_learning_rate_at_a_moment(schedule: dict[str, object], epoch: float, share: float) -> None:
    found = learning_rate(ScheduleConfig(**schedule), PEAK, epoch, 100)

    assert found == pytest.approx(PEAK * share, abs=1e-12)


def test_the_papers_steps() -> None:
    schedule = ScheduleConfig(name="step", warmup=0, milestones=(60, 120, 160), gamma=0.2)

    rates = [learning_rate(schedule, 0.1, epoch, 200) for epoch in (0, 60, 120, 160, 199)]

    assert rates == pytest.approx([0.1, 0.02, 0.004, 0.0008, 0.0008])


def arrays_of(model: nn.Layer) -> dict[str, NDArray[np.float32]]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_decay_moves_only_what_it_should(name: str, decay_all: bool) -> None:
    model = create_model("wrn_10_1", 4, conv_bias=True)
    for parameter in model.parameters():
        parameter.set_value(np.full(parameter.shape, 0.5, np.float32))
    config = OptimizerConfig(name=name, lr=0.1, weight_decay=0.01, decay_all=decay_all)
    optimizer = make_optimizer(config, model)
    before = arrays_of(model)

    sum((p * 0).sum() for p in model.parameters() if not p.stop_gradient).backward()
    optimizer.step()

    after = arrays_of(model)
    moved = {key for key, value in after.items() if not np.array_equal(value, before[key])}
    statistics = {key for key in after if key.endswith(("_mean", "_variance"))}
    weights = {key for key, value in after.items() if value.ndim > 1}
    assert {"fc.weight", "conv1.weight"} <= weights
    assert {"bn.weight", "bn.bias", "conv1.bias", "fc.bias"} <= set(after) - weights - statistics
    assert moved == (set(after) - statistics if decay_all else weights)
    assert all((after[key] < before[key]).all() for key in moved)


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

    assert first_step(config, 2.0, [1.0, -0.5, 0.25]) == pytest.approx(weight, rel=1e-5)


def test_sgd_without_nesterov_is_plain_momentum() -> None:
    config = OptimizerConfig(name="sgd", lr=0.1, momentum=0.5, nesterov=False, weight_decay=0)

    assert first_step(config, 2.0, [1.0, 1.0]) == pytest.approx(2.0 - 0.1 - 0.15, rel=1e-5)


def test_adam_takes_a_first_step_of_its_learning_rate() -> None:
    config = OptimizerConfig(name="adam", lr=0.01, weight_decay=0)

    assert first_step(config, 2.0, [37.0]) == pytest.approx(1.99, rel=1e-5)


def test_adamw_decays_apart_from_the_gradient() -> None:
    config = OptimizerConfig(name="adamw", lr=0.01, weight_decay=0.5)

    assert first_step(config, 2.0, [37.0]) == pytest.approx(2.0 * (1 - 0.01 * 0.5) - 0.01, rel=1e-5)
    assert first_step(config, 2.0, [0.0]) == pytest.approx(1.99, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_learning_rate_can_be_set_before_each_step(name: str) -> None:
    layer = nn.Linear(2, 2)
    optimizer = make_optimizer(OptimizerConfig(name=name, lr=0.1), layer)
    before = layer.weight.numpy().copy()

    optimizer.set_lr(0.0)
    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()

    assert np.array_equal(layer.weight.numpy(), before)


def test_what_is_frozen_stays() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.stop_gradient = True
    optimizer = make_optimizer(OptimizerConfig(decay_all=True), layer)

    assert [parameter.name for group in optimizer._param_groups for parameter in group["params"]] == [
        layer.weight.name
    ]


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_the_average_is_numpys_with_running_statistics(decay: float) -> None:
    paddle.seed(0)
    model = create_model("wrn_10_1", 3)
    optimizer = make_optimizer(OptimizerConfig(lr=0.1), model)
    average = MovingAverage(model, decay)
    expected = {name: value.astype(np.float64) for name, value in arrays_of(model).items()}

    for step in range(6):
        model(paddle.randn([4, 3, 8, 8]) + 1).square().sum().backward()
        optimizer.step()
        optimizer.clear_grad()
        average.update(step)
        share = min(decay, (1 + step) / (10 + step))
        expected = {
            name: expected[name] * share + value * (1 - share) for name, value in arrays_of(model).items()
        }

    found = arrays_of(average.model)
    assert "bn._mean" in found
    assert not np.allclose(found["bn._mean"], arrays_of(model)["bn._mean"])
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_average_and_the_network_do_not_share_weights() -> None:
    model = create_model("wrn_10_1", 3)
    average = MovingAverage(model, 0.9)
    before = arrays_of(average.model)

    model.fc.weight.set_value(paddle.ones_like(model.fc.weight))
    assert np.array_equal(arrays_of(average.model)["fc.weight"], before["fc.weight"])
    average.update(0)  # (1 + 0) / (10 + 0): nine tenths of the way

    np.testing.assert_allclose(
        average.model.fc.weight.numpy(), 0.1 * before["fc.weight"] + 0.9, rtol=1e-5, atol=1e-6
    )
    assert (model.fc.weight.numpy() == 1).all()
