"""The parameters and running statistics of a network, as arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.errors import UserError, shown

Arrays = dict[str, NDArray[Any]]


def weights_of(model: nn.Layer) -> Arrays:
    """Return the parameters and running statistics of a network as arrays."""
    return {name: np.ascontiguousarray(value.numpy()) for name, value in model.state_dict().items()}


def put_weights(model: nn.Layer, arrays: Arrays, source: Path | str) -> None:
    """Load arrays into a network that has exactly these names and shapes.

    Raises:
        UserError: names or shapes differ; the first of them are given.
    """
    state = model.state_dict()
    expected = {name: tuple(value.shape) for name, value in state.items()}
    found = {name: tuple(value.shape) for name, value in arrays.items()}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{shown(name)} is not in the network" for name in found if name not in expected]
    problems += [
        f"{name} is {found[name]} instead of {expected[name]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    problems += [
        f"{name} holds bfloat16, save it as float32 first"  # which Paddle writes as the bits, in uint16
        for name in expected
        if name in found and arrays[name].dtype == np.uint16
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(f"{source}: weights of another network: {', '.join(problems[:3])}{more}")
    dtypes = {name: value.numpy().dtype for name, value in state.items()}  # float64 becomes float32
    model.set_state_dict({name: paddle.to_tensor(arrays[name].astype(dtypes[name])) for name in state})
