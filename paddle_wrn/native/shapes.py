"""The operations that change the shape of a value; see `operations`."""

from collections.abc import Sequence
from ctypes import c_int, c_int64, c_void_p
from math import prod
from typing import Any

import paddle_wrn.native.onednn as dnn
from paddle_wrn.native.onednn import Memory
from paddle_wrn.native.step import Step
from paddle_wrn.native.tape import Node, UnsupportedError


class Pool:
    """The maximum or the mean of windows; without attributes, of the whole map."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        n, c, *sides = step.shapes[node.inputs[0]]
        kernel, stride, padding = node.attributes or (sides, sides, (0, 0))
        pooled = [(sides[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
        if min(pooled) < 1:
            raise UnsupportedError("images smaller than a window")
        shape = [n, c, *pooled]
        self.algorithm = c_int(dnn.MAXIMUM if node.kind == "max_pool" else dnn.AVERAGE)
        self.layouts = (step.layout([n, c, *sides]), step.layout(shape))
        self.geometry = [dims(values) for values in (stride, kernel, (0, 0), padding, padding)]
        self.forward = step.library.describe(
            "pooling_forward", step.kind, self.algorithm, *self.layouts, *self.geometry
        )
        workspace = step.library.layout_of(self.forward, dnn.WORKSPACE)
        self.workspace = {dnn.WORKSPACE: Memory(step.library, workspace)} if workspace else {}
        result = step.new_value(node.output, shape)
        step.call(self.forward, {dnn.SRC: step.values[node.inputs[0]], dnn.DST: result, **self.workspace})

    def backward(self, step: Step) -> None:
        """Append the gradient of the input."""
        description = step.library.describe(
            "pooling_backward", self.algorithm, *self.layouts, *self.geometry, self.forward
        )
        source = step.borrow(step.shapes[self.node.inputs[0]])
        gradient = step.gradients[self.node.output]
        step.call(description, {dnn.DIFF_DST: gradient, dnn.DIFF_SRC: source, **self.workspace})
        step.contribute(self.node.inputs[0], source)


class Concat:
    """Channels behind one another."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        shapes = [step.shapes[value] for value in node.inputs]
        n, _, h, w = shapes[0]
        if any(shape[2:] != [h, w] for shape in shapes):
            raise UnsupportedError("a concatenation of unlike shapes")
        whole = [n, sum(shape[1] for shape in shapes), h, w]
        layouts = [step.layout(shape) for shape in shapes]
        pointers = (c_void_p * len(layouts))(*(layout.pointer for layout in layouts))
        description = step.library.describe(
            "concat", step.layout(whole), c_int(len(layouts)), c_int(1), pointers
        )
        sources = {dnn.SOURCES + i: step.values[value] for i, value in enumerate(node.inputs)}
        step.call(description, {**sources, dnn.DST: step.new_value(node.output, whole)})

    def backward(self, step: Step) -> None:
        """Hand each input its channels of the gradient."""
        first = 0
        for value in self.node.inputs:
            _hand_back(step, self.node.output, value, first)
            first += step.shapes[value][1]


class PadChannels:
    """Channels of zeros behind those of a value."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        n, c, h, w = step.shapes[node.inputs[0]]
        result = step.own_value(node.output, [n, c + node.attributes[0], h, w])
        result.floats[:] = 0  # and nobody ever writes to the channels behind
        step.copy(step.values[node.inputs[0]], step.part(result, [n, c, h, w], 0))

    def backward(self, step: Step) -> None:
        """Append the gradient of the input."""
        _hand_back(step, self.node.output, self.node.inputs[0], 0)


class Flatten:
    """All numbers of an image in a row, channel after channel."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        n, *rest = self.shape = step.shapes[node.inputs[0]]
        if rest[1:] == [1, 1]:
            step.alias(node.output, node.inputs[0])
            return
        result = step.new_value(node.output, [n, prod(rest), 1, 1])
        step.copy(step.values[node.inputs[0]], step.seen_as(step.library.layout(self.shape, "plain"), result))

    def backward(self, step: Step) -> None:
        """Hand the gradient on."""
        gradient = step.gradients[self.node.output]
        if self.shape[2:] == [1, 1]:
            step.contribute(self.node.inputs[0], step.share(gradient))
            return
        source = step.borrow(self.shape)
        step.copy(step.seen_as(step.library.layout(self.shape, "plain"), gradient), source)
        step.contribute(self.node.inputs[0], source)


def _hand_back(step: Step, output: int, value: int, first_channel: int) -> None:
    """Append the gradient of a value that is some channels of another."""
    part = step.part(step.gradients[output], step.shapes[value], first_channel)
    source = step.borrow(step.shapes[value])
    step.copy(part, source)
    step.contribute(value, source)


def dims(values: Sequence[int]) -> Any:
    """Return numbers as oneDNN's `dnnl_dim_t` array."""
    return (c_int64 * len(values))(*values)
