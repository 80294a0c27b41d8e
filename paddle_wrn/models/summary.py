"""What a network is made of: layers, output shapes, parameters and multiply-adds."""

import math
from dataclasses import dataclass

import paddle
from paddle import Tensor, nn

from paddle_wrn.models.modes import evaluation_mode


@dataclass(frozen=True)
class LayerRow:
    """One layer as the data meets it."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The table of a network; `str()` of it is what training prints."""

    input_shape: tuple[int, ...]
    rows: tuple[LayerRow, ...]
    parameters: int

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the convolutions and linear layers for one image."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        name_width = max(len("layer"), *(len(row.name) for row in self.rows))
        kind_width = max(len("kind"), *(len(row.kind) for row in self.rows))
        head = (
            f"{'layer':{name_width}}  {'kind':{kind_width}}  "
            f"{'output':>16}  {'parameters':>11}  {'multiply-adds':>14}"
        )
        lines = [head, "-" * len(head)]
        for row in self.rows:
            shape = " x ".join(map(str, row.output_shape))
            lines.append(
                f"{row.name:{name_width}}  {row.kind:{kind_width}}  "
                f"{shape:>16}  {row.parameters:>11,}  {row.multiply_adds:>14,}"
            )
        lines.append("-" * len(head))
        shape = " x ".join(map(str, self.input_shape))
        lines.append(
            f"input {shape}: {self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds an image"
        )
        return "\n".join(lines)


def count_parameters(model: nn.Layer) -> int:
    """Return the number of parameters, frozen ones too; BatchNorm's running statistics are none."""
    return sum(_own_parameters(layer) for layer in (model, *model.sublayers()))


def summarise(model: nn.Layer, input_shape: tuple[int, int, int]) -> Summary:
    """Send one black image through the network and note every layer that has no layers inside.

    Args:
        model: the network; its mode (training or evaluation) is left as it was.
        input_shape: (channels, height, width) of an image.
    """
    rows: list[LayerRow] = []

    def note(name: str, layer: nn.Layer, output: Tensor) -> None:
        shape = tuple(int(side) for side in output.shape[1:])
        kind = type(layer).__name__
        rows.append(LayerRow(name, kind, shape, _own_parameters(layer), _multiply_adds(layer, shape)))

    hooks = [
        layer.register_forward_post_hook(lambda layer, _, output, name=name: note(name, layer, output))
        for name, layer in model.named_sublayers()
        if not layer.sublayers() and not isinstance(layer, nn.Dropout)
    ]
    try:
        with evaluation_mode(model), paddle.no_grad():
            model(paddle.zeros([1, *input_shape]))
    finally:
        for hook in hooks:
            hook.remove()
    return Summary(input_shape, tuple(rows), count_parameters(model))


def _own_parameters(layer: nn.Layer) -> int:
    """Count what the layer itself holds; Paddle counts BatchNorm's running statistics as parameters too."""
    named = layer.named_parameters(include_sublayers=False)
    return sum(math.prod(p.shape) for name, p in named if name not in ("_mean", "_variance"))


def _multiply_adds(layer: nn.Layer, output_shape: tuple[int, ...]) -> int:
    if isinstance(layer, nn.Conv2D):  # weight: (out, in / groups, kh, kw); one use per output pixel
        return math.prod(layer.weight.shape) * math.prod(output_shape[1:])
    if isinstance(layer, nn.Linear):
        return math.prod(layer.weight.shape) * math.prod(output_shape[:-1])
    return 0
