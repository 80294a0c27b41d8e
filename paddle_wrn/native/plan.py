"""What operations are built into: calls of oneDNN in their order, and the memory they work in."""

from collections.abc import Callable, Collection, Mapping, Sequence
from ctypes import c_int, c_uint
from typing import Protocol

import numpy as np
from paddle import nn

import paddle_wrn.native.onednn as dnn
from paddle_wrn.native.onednn import Call, Handle, Library, Memory
from paddle_wrn.native.tape import IMAGES, Node, Parameter


class Plan:
    """The calls of one pass through a network and back, while operations append theirs.

    Attributes:
        training: batch statistics and dropout, or neither.
        learning: the parameters whose gradients are wanted.
        blocks: whether values lie in blocks of channels, (N, C / 8, H, W, 8), or else with the channels last.
        kind: oneDNN's word for training or evaluation.
        shapes: of every value, (N, C, H, W).
        values: the memory of every value.
        gradients: the memory of the gradients that are known so far, while backward calls are collected.
        preparation: the calls that bring parameters into the form that others want, once for many images.
        calls: the list being filled, that of the forward or of the backward pass.
        images: the memory of the images, wherever they are when a pass begins.
        parameters: the memory of parameters and running statistics, likewise.
        parameter_gradients: the memory of the parameters' gradients, likewise.
        tracked: the running mean or variance of a layer, its momentum, and that of the batch.
        telling: what is not finite where an activation made numbers of NaN.
        draws: whether a pass needs random numbers.
        random: where they come from.
    """

    def __init__(
        self,
        library: Library,
        nodes: Sequence[Node],
        shape: Sequence[int],
        *,
        training: bool,
        learning: Collection[Parameter],
    ) -> None:
        self.library, self.training, self.learning = library, training, frozenset(learning)
        self.kind = c_int(dnn.TRAINING if training else dnn.INFERENCE)
        self.blocks = _fill_blocks(nodes)
        self.shapes: dict[int, list[int]] = {}
        self.values: dict[int, Memory] = {}
        self.gradients: dict[int, Memory] = {}
        self.preparation: list[Callable[[], None]] = []
        self.calls: list[Callable[[], None]] = []
        self.parameters: dict[Parameter, Memory] = {}
        self.parameter_gradients: dict[Parameter, Memory] = {}
        self.tracked: list[tuple[Memory, float, Memory]] = []
        self.telling: list[Memory] = []
        self.draws = False
        self.random = np.random.Generator(np.random.SFC64(0))
        self._wanted = _behind(self.learning, nodes)
        self._stream = Handle(library, "dnnl_stream", library.engine, c_uint(dnn.IN_ORDER))
        self._scratchpads: list[Memory] = []
        self._framed: dict[tuple[int, ...], Memory] = {}
        self._free: dict[tuple[int, ...], list[Memory]] = {}
        self._holders: dict[Memory, int] = {}
        self._home: dict[Memory, list[Memory]] = {}  # the free list each memory came from
        self.images = self._add_images(list(shape))

    def _add_images(self, shape: list[int]) -> Memory:
        images = Memory(self.library, self.library.layout(shape, "plain"), own=False)
        if self.blocks:  # the first convolutions take the images as they are
            self.shapes[IMAGES], self.values[IMAGES], self._holders[images] = shape, images, _FOR_EVER
        else:
            self.copy(images, self.new_value(IMAGES, shape))
        return images

    # What operations ask

    def layout(self, shape: Sequence[int]) -> Handle:
        """Return the layout that values of this shape have."""
        whole = self.blocks and shape[1] % dnn.BLOCK == 0
        return self.library.layout(shape, "channel_blocks" if whole else "channels_last")

    def wants(self, value: int) -> bool:
        """Whether the gradient of a value is needed: a parameter before it learns."""
        return value in self._wanted

    def learns(self, layer: nn.Layer, name: str) -> bool:
        """Whether the gradient of a parameter is needed."""
        return (layer, name) in self.learning

    # Calls

    def call(self, description: Handle, arguments: Mapping[int, Memory]) -> None:
        """Append a call to the list being filled."""
        self.calls.append(self._call(description, arguments))

    def copy(self, source: Memory, target: Memory) -> None:
        """Append a call that copies between layouts, unless the two are the same memory."""
        if source is not target:
            engine = self.library.engine
            description = self.library.describe("reorder", source.layout, engine, target.layout, engine)
            self.call(description, {dnn.SRC: source, dnn.DST: target})

    def add(self, one: Memory, other: Memory, total: Memory) -> None:
        """Append a sum; `total` may be `one`."""
        description = self.library.describe("binary", c_int(dnn.ADD), one.layout, other.layout, total.layout)
        self.call(description, {dnn.SRC: one, dnn.SRC_1: other, dnn.DST: total})

    def packed(
        self, weight: Memory, description: Handle, scale: Memory | None = None, scaled: int = 0
    ) -> Memory:
        """Return the weights in the layout a description wants; the preparation copies them there.

        Args:
            weight: as Paddle has it.
            description: of the layer that wants it.
            scale: a factor for each kernel.
            scaled: number of dimensions of the weight, the first ones, that count the kernels.
        """
        wanted = self.library.layout_of(description, dnn.WEIGHTS)
        if scale is None and self.library.same(weight.layout, wanted):
            return weight
        packed, engine = Memory(self.library, wanted), self.library.engine
        layouts = (weight.layout, engine, wanted, engine)
        factors = {} if scale is None else {dnn.SOURCE_SCALES: scale}
        copying = self.library.describe("reorder", *layouts, scaled=scaled)
        self.preparation.append(self._call(copying, {dnn.SRC: weight, dnn.DST: packed, **factors}))
        return packed

    def _call(self, description: Handle, arguments: Mapping[int, Memory]) -> Call:
        arguments = dict(arguments)
        scratchpad = self.library.layout_of(description, dnn.SCRATCHPAD)
        if scratchpad is not None:
            arguments[dnn.SCRATCHPAD] = Memory(self.library, scratchpad, own=False)
            self._scratchpads.append(arguments[dnn.SCRATCHPAD])
        return Call(self.library, self._stream, description, arguments)

    def share_scratchpads(self) -> None:
        """Let all calls scribble in the same memory, when they are complete."""
        size = max((self.library.size(memory.layout) for memory in self._scratchpads), default=0)
        self._scratch = dnn.aligned(size)
        for memory in self._scratchpads:
            memory.move(self._scratch.ctypes.data)

    # Memory

    def new_value(self, value: int, shape: list[int]) -> Memory:
        """Return memory for a value."""
        self.shapes[value] = shape
        self.values[value] = self.borrow(shape)
        return self.values[value]

    def own_value(self, value: int, shape: list[int]) -> Memory:
        """Return memory for a value that no other value ever has."""
        self.shapes[value] = shape
        self.values[value] = memory = Memory(self.library, self.layout(shape))
        self._holders[memory] = _FOR_EVER
        return memory

    def alias(self, value: int, original: int) -> None:
        """Let a value be another one."""
        self.shapes[value], self.values[value] = self.shapes[original], self.share(self.values[original])

    def parameter(self, layer: nn.Layer, name: str, layout: Handle) -> Memory:
        """Return the memory of a parameter or running statistic."""
        return self.parameters.setdefault((layer, name), Memory(self.library, layout, own=False))

    def parameter_gradient(self, layer: nn.Layer, name: str, layout: Handle) -> Memory:
        """Return the memory of a parameter's gradient, a new tensor for every pass."""
        return self.parameter_gradients.setdefault((layer, name), Memory(self.library, layout, own=False))

    def fitting(self, memory: Memory, description: Handle, argument: int) -> Memory:
        """Return `memory` if it has the layout wanted for an argument, else new memory that has."""
        wanted = self.library.layout_of(description, argument)
        return memory if self.library.same(memory.layout, wanted) else Memory(self.library, wanted)

    def part(self, whole: Memory, shape: Sequence[int], offsets: Sequence[int]) -> Memory:
        """Return a block of a memory, in place."""
        return self.seen_as(self.library.part(whole.layout, shape, offsets), whole)

    def seen_as(self, layout: Handle, memory: Memory) -> Memory:
        """Return the same memory with another layout."""
        seen = Memory(self.library, layout, own=False)
        assert memory.address is not None
        seen.move(memory.address)
        return seen

    def framed(self, shape: Sequence[int], inside: tuple[int, ...]) -> Memory:
        """Return memory of zeros that is written to only inside a frame; whose frame is alike shares it."""
        key = (*shape, *inside)
        if key not in self._framed:
            self._framed[key] = Memory(self.library, self.layout(shape))
            self._framed[key].floats[:] = 0
        return self._framed[key]

    # Memory counts its holders: without one it is used again, with several nothing may be written to it.

    def borrow(self, shape: Sequence[int]) -> Memory:
        """Return memory for a value or a gradient, held once; another may have had it before."""
        free = self._free.setdefault(tuple(shape), [])
        memory = free.pop() if free else Memory(self.library, self.layout(shape))
        self._holders[memory] = 1
        self._home[memory] = free
        return memory

    def share(self, memory: Memory) -> Memory:
        """Return the same memory, held once more."""
        self._holders[memory] += 1
        return memory

    def release(self, memory: Memory) -> None:
        """Give up one hold on a memory."""
        self._holders[memory] -= 1
        if not self._holders[memory]:
            self._home[memory].append(memory)

    def overwritten(self, value: int) -> Memory:
        """Return memory for what is made of a value's gradient, held once: the gradient's own if possible."""
        memory = self.gradients[value]
        return self.share(memory) if self._holders[memory] == 1 else self.borrow(self.shapes[value])

    def contribute(self, value: int, gradient: Memory) -> None:
        """Add to the gradient of a value; the caller's hold on the memory passes to the value."""
        known = self.gradients.get(value)
        if not self.wants(value):
            self.release(gradient)
        elif known is None:
            self.gradients[value] = gradient
        else:
            total = known if self._holders[known] == 1 else self.borrow(self.shapes[value])
            self.add(known, gradient, total)
            self.gradients[value] = total
            self.release(gradient)
            if total is not known:
                self.release(known)


class Operation(Protocol):
    """What is made of a node; building it appends its forward calls."""

    node: Node

    def __init__(self, plan: Plan, node: Node) -> None: ...

    def backward(self, plan: Plan) -> None:
        """Append the calls that turn the gradient of the result into those of parameters and inputs."""


_FOR_EVER = 1 << 30  # holders of memory that is never used again


def _behind(parameters: frozenset[Parameter], nodes: Sequence[Node]) -> set[int]:
    """Return the values that some of these parameters have a say in."""
    layers = {layer for layer, _ in parameters}
    values: set[int] = set()
    for node in nodes:
        if node.layer in layers or not values.isdisjoint(node.inputs):
            values.add(node.output)
    return values


def _fill_blocks(nodes: Sequence[Node]) -> bool:
    """Whether a network has depthwise convolutions, which oneDNN computes best in blocks, and fills these.

    Dense kernels of 3 x 3 are faster with the channels last.
    """
    layers = [node.layer for node in nodes if isinstance(node.layer, nn.Conv2D)]
    first = [node.layer for node in nodes if IMAGES in node.inputs]
    return (
        any(layer._groups == layer.weight.shape[0] > 1 for layer in layers)
        and all(layer.weight.shape[0] % dnn.BLOCK == 0 for layer in layers)
        and all(isinstance(layer, nn.Conv2D) and layer._groups == 1 for layer in first)
    )
