"""Tests of weights as arrays: out of one network, into another, and into none they do not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from some_arrays import assert_equal

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import Arrays, put_weights, weights_of
from paddle_wrn.runs.checkpoint import save_checkpoint


def test_weights_move_from_one_network_to_another(tmp_path: Path) -> None:
    paddle.seed(1)
    first = create_model("wrn_10_1", 4)
    first(paddle.randn([2, 3, 16, 16]))  # moves the running statistics
    second = create_model("wrn_10_1", 4)
    save_checkpoint(tmp_path / "w.safetensors", weights_of(first), {"kind": "model"})

    put_weights(second, read_weights(tmp_path / "w.safetensors"), "w")

    assert_equal(weights_of(second), weights_of(first))
    assert weights_of(second)["bn._mean"].any()


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64])
def test_weights_of_another_precision_are_converted(dtype: type) -> None:
    model = create_model("wrn_10_1", 4)
    rounded = {name: np.round(value * 64).astype(dtype) for name, value in weights_of(model).items()}

    put_weights(model, rounded, "file")

    assert_equal(weights_of(model), {name: value.astype(np.float32) for name, value in rounded.items()})


def without(arrays: Arrays, *names: str) -> Arrays:
    return {name: value for name, value in arrays.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: without(w, "fc.bias"), "fc.bias is missing$"),
        (lambda w: w | {"head.weight": np.zeros(3)}, "head.weight is not in the network$"),
        (lambda w: w | {"fc.bias": np.zeros(7, np.float32)}, r"fc.bias is \(7,\) instead of \(4,\)$"),
        (lambda w: without(w, *list(w)[:5]), "is missing, .* is missing, .* is missing and 2 more$"),
        (lambda w: {}, r"is missing and \d+ more$"),
    ],
)
def test_weights_of_another_network_are_refused(change: Any, message: str) -> None:
    model = create_model("wrn_10_1", 4)
    before = {name: value.copy() for name, value in weights_of(model).items()}

    with pytest.raises(UserError, match=f"^file: weights of another network: .*{message}"):
        put_weights(model, change(before), "file")

    assert_equal(weights_of(model), before)


def test_bfloat16_weights_are_refused_instead_of_read_as_whole_numbers() -> None:
    model = create_model("wrn_10_1", 2)
    arrays = weights_of(model)
    arrays["fc.bias"] = arrays["fc.bias"].astype(np.uint16)  # as Paddle writes bfloat16
    with pytest.raises(UserError, match="bias holds bfloat16, save it as float32 first"):
        put_weights(model, arrays, "weights.pdparams")


def test_a_long_name_is_shortened() -> None:
    model = create_model("wrn_10_1", 2)

    with pytest.raises(UserError, match=r"network: x{60}\.\.\. is not in the network$"):
        put_weights(model, {**weights_of(model), "x" * 5000: np.zeros(1)}, "file")
