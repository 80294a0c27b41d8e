"""What a network computes, written down: the operations in order, joined where oneDNN can do two at once."""

from dataclasses import dataclass, field, replace
from typing import Any

import paddle
from paddle import Tensor, nn

Parameter = tuple[nn.Layer, str]  # a layer and the name of one of its parameters

IMAGES = 0  # the value that the network is given

ACTIVATIONS = ("relu", "relu6")
_ELEMENT_BY_ELEMENT = ("batch_norm", "add", *ACTIVATIONS)


class UnsupportedError(Exception):
    """Something in the network that only Paddle can compute; the message names it."""


@dataclass(eq=False)
class Node:
    """One operation: values are numbered, the images are value 0."""

    kind: str
    layer: nn.Layer | None
    inputs: list[int]
    output: int
    attributes: tuple[Any, ...] = ()  # what no layer says: see the function that notes it
    after: list["Node"] = field(default_factory=list)  # what is done with the result at once


@dataclass(frozen=True)
class Tape:
    """The operations of a network in their order, up to the linear layer, which is left to Paddle."""

    nodes: list[Node]
    linear: nn.Linear
    parameters: list[Parameter]  # of the nodes
    shapes: list[list[int]]  # of the parameters

    def parameter_values(self) -> list[Tensor]:
        """Return the parameters as they are now."""
        return [getattr(layer, name) for layer, name in self.parameters]

    def learning(self) -> frozenset[Parameter]:
        """Return the parameters that are not frozen now."""
        return frozenset(key for key in self.parameters if not getattr(*key).stop_gradient)

    def fits(self) -> bool:
        """Whether the parameters are still float32, on the processor and of the recorded shapes."""
        return all(
            value.dtype == paddle.float32 and value.place.is_cpu_place() and value.shape == shape
            for value, shape in zip(self.parameter_values(), self.shapes, strict=True)
        )


def fused(nodes: list[Node]) -> list[Node]:
    """Join activations to the BatchNorms before them, and sums to convolutions."""
    return _with_fused_sums(_with_fused_activations(nodes))


def folded(nodes: list[Node]) -> list[Node]:
    """Let convolutions do all that follows them element by element: BatchNorm, too, knows its statistics.

    Only for evaluation: the way back needs what is between them.
    """
    kept: list[Node] = []
    place: dict[int, int] = {}  # where among `kept` a value is made
    uses = _uses(nodes)
    for node in nodes:
        *early, late = sorted(node.inputs, key=lambda value: place.get(value, -1))
        home = place.get(late, -1)
        if (
            home >= 0
            and kept[home].kind == "convolution"
            and node.kind in _ELEMENT_BY_ELEMENT
            and uses[late] == 1
        ):
            kept[home].after += [node, *node.after]
            kept[home].inputs += early
            kept[home].output = node.output
        else:
            home = len(kept)
            kept.append(replace(node, inputs=list(node.inputs), after=list(node.after)))
        place[node.output] = home
    return kept


def _uses(nodes: list[Node]) -> dict[int, int]:
    """Return how often each value is an input."""
    counts: dict[int, int] = {}
    for node in nodes:
        for value in node.inputs:
            counts[value] = counts.get(value, 0) + 1
    return counts


def _with_fused_activations(nodes: list[Node]) -> list[Node]:
    """Let BatchNorm do the activation behind it."""
    producer = {node.output: node for node in nodes}
    uses = _uses(nodes)
    kept = []
    for node in nodes:
        before = producer.get(node.inputs[0])
        if (
            node.kind in ACTIVATIONS
            and before is not None
            and before.kind == "batch_norm"
            and uses[before.output] == 1
        ):
            before.after.append(node)
            before.output = node.output
        else:
            kept.append(node)
    return kept


def _with_fused_sums(nodes: list[Node]) -> list[Node]:
    """Let a convolution whose result is only a summand do the sum, if the other summand is there by then."""
    producer = {node.output: node for node in nodes}
    uses = _uses(nodes)
    place = {node.output: number for number, node in enumerate(nodes)}
    kept = []
    for node in nodes:
        if node.kind == "add":
            early, late = sorted(node.inputs, key=lambda value: place.get(value, -1))
            last = producer.get(late)
            if last is not None and last.kind == "convolution" and uses[late] == 1 and len(last.inputs) == 1:
                last.after.append(node)
                last.inputs.append(early)
                last.output = node.output
                continue
        kept.append(node)
    return kept
