"""The networks by name.

`create_model("wrn_28_10", num_classes=10, drop_rate=0.3)` builds one; `list_models()` names them.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from paddle import nn
from pydantic import ConfigDict, TypeAdapter, ValidationError

from paddle_wrn.errors import UserError
from paddle_wrn.models.wide_resnet import BasicBlock, NetworkBlock, WideResNet

__all__ = ["BasicBlock", "NetworkBlock", "WideResNet", "create_model", "list_models"]

Builder = Callable[..., nn.Layer]

_WRN_NAME = re.compile(r"wrn_(\d+)_(\d+)")
_WRN_OF_THE_PAPER = (  # depth, widen factors
    (10, (1,)),
    (16, (1, 2, 4, 8, 10)),
    (22, (2, 8)),
    (28, (1, 2, 10, 12)),
    (40, (1, 2, 4, 8)),
)


def list_models() -> list[str]:
    """Return the names of the networks; any other `wrn_<depth>_<widen factor>` can be created too."""
    return [f"wrn_{depth}_{k}" for depth, widen_factors in _WRN_OF_THE_PAPER for k in widen_factors]


def create_model(name: str, num_classes: int, in_channels: int = 3, **options: Any) -> nn.Layer:
    """Build a network by its name, with fresh weights.

    Args:
        name: one of `list_models()`, or any `wrn_<depth>_<widen factor>`.
        num_classes: number of logits.
        in_channels: channels of the images, 3 for RGB.
        **options: further keyword arguments of the network's class.

    Raises:
        UserError: an unknown name (the nearest known ones are given), an option the network does not
            have, or a value it cannot take.
    """
    match = _WRN_NAME.fullmatch(name)
    if match is None:
        near = difflib.get_close_matches(name, list_models(), n=3, cutoff=0.3) or list_models()[:3]
        raise UserError(
            f"model.name: found {name!r}; networks are wrn_<depth>_<widen factor>, such as {', '.join(near)}"
        )
    depth, widen_factor = map(int, match.groups())
    checked = _checked_options(name, WideResNet, options, {"depth", "widen_factor", "in_channels"})
    return WideResNet(num_classes, depth, widen_factor, in_channels=in_channels, **checked)


def _checked_options(
    name: str, builder: Builder, options: Mapping[str, Any], fixed: Collection[str]
) -> dict[str, Any]:
    """Return the options converted to the types of the builder's signature."""
    parameters = inspect.signature(builder).parameters
    known = [p for p in parameters if p != "num_classes" and p not in fixed]
    checked = {}
    for option, value in options.items():
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1, cutoff=0.0)
            raise UserError(
                f"model.options.{option}: {name} has no such option; "
                f"it has {', '.join(known)} (did you mean {near[0]}?)"
            )
        adapter = TypeAdapter(parameters[option].annotation, config=ConfigDict(extra="forbid"))
        try:
            checked[option] = adapter.validate_python(value)
        except ValidationError as error:
            expected = error.errors()[0]["msg"].lower()
            raise UserError(f"model.options.{option}: found {value!r}; {expected}") from None
    return checked
