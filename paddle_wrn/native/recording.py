"""Writing down what a network computes while it runs once on a symbol instead of images.

`record(model)` calls `model(symbol)`. Layers and functions that are known note themselves on the tape and
return another symbol; what is not known meets an object it can do nothing with, and recording ends.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn

from paddle_wrn.native.tape import Node, Tape, UnsupportedError, fused


class Symbol:
    """A value that is only a number."""

    def __init__(self, recorder: "_Recorder", number: int) -> None:
        self.recorder, self.number = recorder, number

    @property
    def shape(self) -> list[int]:
        """(-1, C, H, W) of the images; that of what layers make of them is not known."""
        if self.number:
            raise UnsupportedError("the shape of a layer's result")
        return [-1, *self.recorder.image_shape]

    def __add__(self, other: object) -> "Symbol":
        if not isinstance(other, Symbol):
            raise UnsupportedError("a sum with something that is no layer's result")
        return self.recorder.note("add", None, self, other)

    def __bool__(self) -> bool:
        raise UnsupportedError("a decision that depends on the data")


def record(model: nn.Layer, image_shape: Sequence[int]) -> Tape:
    """Return what the network computes from a batch of images of shape (C, H, W), whatever mode it is in.

    Raises:
        UnsupportedError: it does something the tape has no word for.
    """
    recorder = _Recorder(tuple(image_shape))
    with _patched():
        try:
            result = model(Symbol(recorder, 0))
        except UnsupportedError:
            raise
        except Exception as error:  # a function of Paddle's that was handed a symbol
            raise UnsupportedError(_what_failed(error)) from error
    if not isinstance(result, Symbol) or result.number != len(recorder.nodes):
        raise UnsupportedError("a result that is not what the last layer computed")
    nodes, linear = _split_at_the_end(recorder.nodes)
    names = [
        (node.layer, name) for node in nodes if node.layer is not None for name in _parameters(node.layer)
    ]
    if len({id(layer._parameters[name]) for layer, name in names}) < len(names):
        raise UnsupportedError("a parameter or a layer that is used twice")
    return Tape(fused(nodes), linear, names, [list(getattr(layer, name).shape) for layer, name in names])


def _split_at_the_end(nodes: list[Node]) -> tuple[list[Node], nn.Linear]:
    """Return what computes the features, and the linear layer on these."""
    *nodes, last = nodes or [Node("nothing", None, [], 0)]
    kinds = [node.kind for node in nodes]
    while kinds[-1:] == ["dropout"]:
        kinds.pop()
    if kinds[-1:] != ["flatten"] or not isinstance(last.layer, nn.Linear):
        raise UnsupportedError("a network that does not end with a linear layer on what was flattened")
    from_flat = nodes[len(kinds) - 1 :]  # each takes what the one before it gives
    if any(node.inputs != [before.output] for before, node in pairwise([*from_flat, last])):
        raise UnsupportedError("a linear layer on something that is not flat")
    return nodes, last.layer


def _what_failed(error: Exception) -> str:
    function = re.search(r"(\w+)\(\): argument", str(error))  # as Paddle's own functions complain
    return f"the function {function[1]}" if function else f"{type(error).__name__}: {error}".splitlines()[0]


@dataclass
class _Recorder:
    image_shape: tuple[int, ...]
    nodes: list[Node] = field(default_factory=list)

    def note(
        self, kind: str, layer: nn.Layer | None, *inputs: Symbol, attributes: tuple[Any, ...] = ()
    ) -> Symbol:
        numbers = [symbol.number for symbol in inputs]
        self.nodes.append(Node(kind, layer, numbers, len(self.nodes) + 1, attributes))
        return Symbol(self, len(self.nodes))


@contextmanager
def _patched() -> Iterator[None]:
    """Let what is known answer to symbols; for everything else, in any thread, nothing changes."""
    places: list[tuple[Any, str, Callable[..., Any]]] = [
        (nn.Layer, "__call__", _call_layer),
        (F, "relu", _relu),
        (F, "leaky_relu", _leaky_relu),
        (F, "relu6", _relu6),
        (F, "adaptive_avg_pool2d", _global_average),
        (F, "avg_pool2d", _average_pool),
        (F, "max_pool2d", _max_pool),
        (F, "pad", _pad),
        (paddle, "concat", _concat),
        (paddle, "flatten", _flatten),
    ]
    originals = [getattr(owner, name) for owner, name, _ in places]

    def answering(original: Callable[..., Any], known: Callable[..., Any]) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            if any(_symbolic(arg) for arg in args):
                answer = known(*args, **kwargs)
                if answer is not None:
                    return answer
            return original(*args, **kwargs)

        return function

    try:
        for (owner, name, known), original in zip(places, originals, strict=True):
            setattr(owner, name, answering(original, known))
        yield
    finally:
        for (owner, name, _), original in zip(places, originals, strict=True):
            setattr(owner, name, original)


def _call_layer(layer: nn.Layer, *inputs: Any) -> Symbol | None:
    """Note a layer that is known; None for others, which have a `forward` to look into."""
    if layer._forward_pre_hooks or layer._forward_post_hooks:
        raise UnsupportedError(f"a hook on {type(layer).__name__}")
    if type(layer) not in _LAYERS:
        return None
    kind, obstacle = _LAYERS[type(layer)]
    if obstacle(layer):
        raise UnsupportedError(f"this kind of {layer}")
    (x,) = inputs
    return x.recorder.note(kind, layer, x)


def _symbolic(argument: Any) -> bool:
    if isinstance(argument, (list, tuple)):
        return any(isinstance(one, Symbol) for one in argument)
    return isinstance(argument, Symbol)


def _relu(x: Symbol, name: str | None = None) -> Symbol:
    return _leaky_relu(x, 0.0)


def _leaky_relu(x: Symbol, negative_slope: float = 0.01, name: str | None = None) -> Symbol:
    """Note ReLU; attributes: its slope below 0 and, as oneDNN wants two numbers, a 0."""
    return x.recorder.note("relu", None, x, attributes=(negative_slope, 0.0))


def _relu6(x: Symbol, name: str | None = None) -> Symbol:
    """Note ReLU6; attributes: least and greatest result."""
    return x.recorder.note("relu6", None, x, attributes=(0.0, 6.0))


def _global_average(
    x: Symbol, output_size: Any, data_format: str = "NCHW", name: str | None = None
) -> Symbol:
    if output_size not in (1, (1, 1), [1, 1]) or data_format != "NCHW":
        raise UnsupportedError("an average pool that is not global")
    return x.recorder.note("average_pool", None, x)


def _average_pool(
    x: Symbol,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    exclusive: bool = True,
    divisor_override: Any = None,
    data_format: str = "NCHW",
    name: str | None = None,
) -> Symbol:
    if not exclusive or divisor_override is not None:
        raise UnsupportedError("an average that counts more than the pixels")
    return _pool("average_pool", x, kernel_size, stride, padding, ceil_mode, data_format)


def _max_pool(
    x: Symbol,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    return_mask: bool = False,
    ceil_mode: bool = False,
    data_format: str = "NCHW",
    name: str | None = None,
) -> Symbol:
    if return_mask:
        raise UnsupportedError("a maximum pool that returns its mask")
    return _pool("max_pool", x, kernel_size, stride, padding, ceil_mode, data_format)


def _pool(
    kind: str, x: Symbol, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, data_format: str
) -> Symbol:
    """Note a pool; attributes: kernel, stride and padding, each (height, width)."""
    pairs = tuple(_pair(kernel if value is None else value) for value in (kernel, stride, padding))
    if ceil_mode or data_format != "NCHW" or None in pairs:
        raise UnsupportedError("an unusual pool")
    return x.recorder.note(kind, None, x, attributes=pairs)


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return (value, value)
    return tuple(value) if isinstance(value, (list, tuple)) and len(value) == 2 else None


def _pad(x: Symbol, pad: Any, mode: str = "constant", value: float = 0.0, *others: Any) -> Symbol:
    """Note zeros behind the channels; attributes: how many."""
    if mode != "constant" or value != 0 or len(pad) != 8 or any(pad[:3]) or any(pad[4:]) or any(others):
        raise UnsupportedError("a padding of something else than channels with zeros")
    return x.recorder.note("pad_channels", None, x, attributes=(pad[3],))


def _concat(values: Any, axis: int = 0, name: str | None = None) -> Symbol:
    if axis != 1 or not all(isinstance(value, Symbol) for value in values):
        raise UnsupportedError("a concatenation of something else than channels")
    return values[0].recorder.note("concat", None, *values)


def _flatten(x: Symbol, start_axis: int = 0, stop_axis: int = -1, name: str | None = None) -> Symbol:
    if (start_axis, stop_axis) not in ((1, -1), (1, 3)):
        raise UnsupportedError("a reshape")
    return x.recorder.note("flatten", None, x)


def _unusual_convolution(layer: nn.Conv2D) -> bool:
    return (
        layer._data_format != "NCHW"
        or layer._padding_mode != "zeros"
        or layer._padding_algorithm not in ("EXPLICIT", "SAME")
    )


def _unusual_batch_norm(layer: nn.BatchNorm2D) -> bool:
    return (
        layer._data_format != "NCHW"
        or layer._use_global_stats is not None
        or layer.weight is None
        or layer.bias is None
    )


def _unusual_dropout(layer: nn.Dropout) -> bool:
    return layer.axis is not None or layer.mode != "upscale_in_train" or not 0 <= layer.p < 1


def _parameters(layer: nn.Layer) -> list[str]:
    return [name for name in ("weight", "bias") if layer._parameters.get(name) is not None]


# What is known: the layer's class, its word on the tape, and whether one of them is too unusual
_LAYERS: dict[type[nn.Layer], tuple[str, Callable[[Any], bool]]] = {
    nn.Conv2D: ("convolution", _unusual_convolution),
    nn.BatchNorm2D: ("batch_norm", _unusual_batch_norm),
    nn.Dropout: ("dropout", _unusual_dropout),
    nn.Linear: ("linear", lambda layer: False),
}
