"""A tape bound to one batch shape: the calls, in order, and the memory they work in."""

from collections.abc import Callable, Mapping, Sequence
from ctypes import c_float, c_int, c_uint
from typing import Protocol

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

import paddle_wrn.native.onednn as dnn
from paddle_wrn.native.onednn import Call, Handle, Library, Memory
from paddle_wrn.native.tape import Node, Tape, UnsupportedError, folded

Parameter = tuple[nn.Layer, str]  # a layer and the name of one of its parameters

_IMAGES = 0
_LARGEST_SEED = 2**31 - 1


class Step:
    """One pass through a network and back; it owns its activations, so it does one pass at a time.

    Attributes:
        image_shape: (N, C, H, W) of the images.
        shapes: of every value, (N, C, H, W).
        values: the memory of every value, channels last.
        gradients: the memory of the gradients that are known so far, while backward calls are collected.
        calls: the list being filled, that of the forward or of the backward pass.
        kind: oneDNN's word for training or evaluation.
        draws: whether a pass needs random numbers.
        random: where they come from, seeded by Paddle's generator for every pass.

    Args:
        library: oneDNN.
        tape: the network.
        kinds: what the words on the tape stand for.
        shape: (N, C, H, W) of the images.
        training: batch statistics, dropout and a backward pass, or none of them.

    Raises:
        UnsupportedError: the network cannot be computed for this shape.
        OneDNNError: likewise.
    """

    def __init__(
        self,
        library: Library,
        tape: Tape,
        kinds: Mapping[str, type["Operation"]],
        shape: Sequence[int],
        *,
        training: bool,
    ) -> None:
        self.library, self.training = library, training
        self.kind = c_int(dnn.TRAINING if training else dnn.INFERENCE)
        self.shapes: dict[int, list[int]] = {}
        self.values: dict[int, Memory] = {}
        self.gradients: dict[int, Memory] = {}
        self.random = np.random.Generator(np.random.SFC64(0))
        self.image_shape = tuple(shape)
        self._tape = tape
        self._stream = Handle(library, "dnnl_stream", library.engine, c_uint(dnn.IN_ORDER))
        self.draws = False
        self._parameters: dict[Parameter, Memory] = {}
        self._parameter_gradients: dict[Parameter, Memory] = {}
        self._tracked: list[tuple[nn.BatchNorm2D, Memory, Memory]] = []
        self._scratchpads: list[Memory] = []
        self._free: dict[tuple[int, ...], list[Memory]] = {}
        self._holders: dict[Memory, int] = {}
        self._home: dict[Memory, list[Memory]] = {}  # the free list each memory came from
        self.calls: list[Callable[[], None]] = []

        self._images = Memory(library, library.layout(shape, "plain"), own=False)
        self.copy(self._images, self.new_value(_IMAGES, list(shape)))
        nodes = tape.nodes if training else folded(tape.nodes)
        last_use = {value: node for node in nodes for value in node.inputs}
        operations: list[Operation] = []
        for node in nodes:
            operations.append(kinds[node.kind](self, node))
            for value in set(node.inputs):
                if not training and last_use[value] is node:  # the way back needs them all
                    self._release(self.values[value])
        self._result = self.values[nodes[-1].output]
        self._result_shape = self.shapes[nodes[-1].output]
        self._forward, self.calls = self.calls, []
        if training:
            self._result_gradient = self.borrow(self._result_shape)
            self.gradients[nodes[-1].output] = self._result_gradient
            for operation in reversed(operations):
                if operation.node.output not in self.gradients:
                    raise UnsupportedError("a layer whose result is not used")
                operation.backward(self)
                self._release(self.gradients.pop(operation.node.output))
        self._backward = self.calls
        size = max((library.size(memory.layout) for memory in self._scratchpads), default=0)
        self._scratch = dnn.aligned(size)
        for memory in self._scratchpads:
            memory.move(self._scratch.ctypes.data)

    # What a pass does

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (N, C); in training, also update the running statistics."""
        if self.draws:
            seed = paddle.randint(0, _LARGEST_SEED, [1], "int64").item()
            self.random = np.random.Generator(np.random.SFC64(seed))
        for (layer, name), memory in self._parameters.items():
            memory.move(getattr(layer, name).data_ptr())
        self._images.move(images.data_ptr())
        for call in self._forward:
            call()
        for layer, mean, variance in self._tracked:
            for running, batch in ((layer._mean, mean), (layer._variance, variance)):
                average = floats_of(running)
                average *= layer._momentum
                average += (1 - layer._momentum) * batch.floats
        return paddle.to_tensor(self._result.floats.reshape(self._result_shape[:2]))

    def backward(self, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradients of the tape's parameters from that of the features; None for frozen ones."""
        self._result_gradient.floats[:] = gradient.numpy().ravel()
        gradients = {}
        for (layer, name), memory in self._parameter_gradients.items():
            gradients[layer, name] = paddle.empty_like(getattr(layer, name))
            memory.move(gradients[layer, name].data_ptr())
        for call in self._backward:
            call()
        return [
            None if getattr(layer, name).stop_gradient else gradients[layer, name]
            for layer, name in self._tape.parameters
        ]

    # What operations are built with

    def layout(self, shape: Sequence[int]) -> Handle:
        """Return the layout that values of this shape have."""
        return self.library.layout(shape, "channels_last")

    def call(self, description: Handle, arguments: Mapping[int, Memory]) -> None:
        """Append a call to the list being filled."""
        arguments = dict(arguments)
        scratchpad = self.library.layout_of(description, dnn.SCRATCHPAD)
        if scratchpad is not None:
            arguments[dnn.SCRATCHPAD] = Memory(self.library, scratchpad, own=False)
            self._scratchpads.append(arguments[dnn.SCRATCHPAD])
        self.calls.append(Call(self.library, self._stream, description, arguments))

    def new_value(self, value: int, shape: list[int]) -> Memory:
        """Return memory for a value."""
        self.shapes[value] = shape
        self.values[value] = self.borrow(shape)
        return self.values[value]

    def own_value(self, value: int, shape: list[int]) -> Memory:
        """Return memory for a value that no other value ever has."""
        self.shapes[value] = shape
        self.values[value] = memory = Memory(self.library, self.layout(shape))
        self._holders[memory] = 2  # one of which is never given up
        return memory

    def alias(self, value: int, original: int) -> None:
        """Let a value be another one."""
        self.shapes[value], self.values[value] = self.shapes[original], self.share(self.values[original])

    def parameter(self, layer: nn.Layer, name: str, layout: Handle) -> Memory:
        """Return the memory of a parameter, wherever it is when a pass begins."""
        return self._parameters.setdefault((layer, name), Memory(self.library, layout, own=False))

    def parameter_gradient(self, layer: nn.Layer, name: str, layout: Handle) -> Memory:
        """Return the memory of a parameter's gradient, a new tensor for every pass."""
        return self._parameter_gradients.setdefault((layer, name), Memory(self.library, layout, own=False))

    def track(self, layer: nn.BatchNorm2D, mean: Memory, variance: Memory) -> None:
        """Move the running statistics of a layer towards these after every forward pass."""
        self._tracked.append((layer, mean, variance))

    def fitting(self, memory: Memory, description: Handle, argument: int) -> Memory:
        """Return `memory` if it has the layout wanted for an argument, else new memory that has."""
        wanted = self.library.layout_of(description, argument)
        return memory if self.library.same(memory.layout, wanted) else Memory(self.library, wanted)

    def copy(self, source: Memory, target: Memory) -> None:
        """Append a call that copies between layouts, unless the two are the same memory."""
        if source is not target:
            engine = self.library.engine
            layouts = (source.layout, engine, target.layout, engine)
            self.call(self.library.describe("reorder", *layouts), {dnn.SRC: source, dnn.DST: target})

    def part(self, whole: Memory, shape: Sequence[int], first_channel: int) -> Memory:
        """Return some channels of a memory, in place."""
        return self.seen_as(self.library.part(whole.layout, shape, (0, first_channel, 0, 0)), whole)

    def seen_as(self, layout: Handle, memory: Memory) -> Memory:
        """Return the same memory with another layout."""
        seen = Memory(self.library, layout, own=False)
        seen.move(memory.floats.ctypes.data)
        return seen

    def packed(self, weight: Memory, description: Handle) -> Memory:
        """Return the weights in the layout a description wants, copied there in every pass."""
        packed = self.fitting(weight, description, dnn.WEIGHTS)
        self.copy(weight, packed)
        return packed

    def add(self, one: Memory, other: Memory, total: Memory) -> None:
        """Append a sum; `total` may be `one`."""
        description = self.library.describe("binary", c_int(dnn.ADD), one.layout, other.layout, total.layout)
        self.call(description, {dnn.SRC: one, dnn.SRC_1: other, dnn.DST: total})

    # Memory counts its holders: without one it is used again, with several nothing may be added to it.

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

    def contribute(self, value: int, gradient: Memory) -> None:
        """Add to the gradient of a value; the caller's hold on the memory passes to the value."""
        known = self.gradients.get(value)
        if value == _IMAGES:  # nobody asks for it
            self._release(gradient)
        elif known is None:
            self.gradients[value] = gradient
        else:
            total = known if self._holders[known] == 1 else self.borrow(self.shapes[value])
            self.add(known, gradient, total)
            self.gradients[value] = total
            self._release(gradient)
            if total is not known:
                self._release(known)

    def _release(self, memory: Memory) -> None:
        self._holders[memory] -= 1
        if not self._holders[memory]:
            self._home[memory].append(memory)


class Operation(Protocol):
    """What a step needs of an operation; building one appends its forward calls."""

    node: Node

    def __init__(self, step: Step, node: Node) -> None: ...

    def backward(self, step: Step) -> None:
        """Append the calls that turn the gradient of the result into those of parameters and inputs."""


def floats_of(tensor: Tensor) -> NDArray[np.float32]:
    """Return the numbers of a tensor to be changed in place."""
    return np.ctypeslib.as_array((c_float * tensor.size).from_address(tensor.data_ptr()))
