"""The operations that change the shape of a value; see `operations`."""

from collections.abc import Sequence
from ctypes import c_int, c_int64, c_void_p
from math import prod
from typing import Any

import paddle_wrn.native.onednn as dnn
from paddle_wrn.native.onednn import Memory
from paddle_wrn.native.plan import Plan
from paddle_wrn.native.tape import Node, UnsupportedError


class Pool:
    """The maximum or the mean of windows; without attributes, of the whole map."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        n, c, *sides = plan.shapes[node.inputs[0]]
        kernel, stride, padding = node.attributes or (sides, sides, (0, 0))
        pooled = [(sides[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
        if min(pooled) < 1:
            raise UnsupportedError("images smaller than a window")
        shape = [n, c, *pooled]
        self.algorithm = c_int(dnn.MAXIMUM if node.kind == "max_pool" else dnn.AVERAGE)
        self.layouts = (plan.layout([n, c, *sides]), plan.layout(shape))
        self.geometry = [dims(values) for values in (stride, kernel, (0, 0), padding, padding)]
        self.forward = plan.library.describe(
            "pooling_forward", plan.kind, self.algorithm, *self.layouts, *self.geometry
        )
        workspace = plan.library.layout_of(self.forward, dnn.WORKSPACE)
        self.workspace = {dnn.WORKSPACE: Memory(plan.library, workspace)} if workspace else {}
        result = plan.new_value(node.output, shape)
        plan.call(self.forward, {dnn.SRC: plan.values[node.inputs[0]], dnn.DST: result, **self.workspace})

    def backward(self, plan: Plan) -> None:
        """Append the gradient of the input."""
        description = plan.library.describe(
            "pooling_backward", self.algorithm, *self.layouts, *self.geometry, self.forward
        )
        source = plan.borrow(plan.shapes[self.node.inputs[0]])
        gradient = plan.gradients[self.node.output]
        plan.call(description, {dnn.DIFF_DST: gradient, dnn.DIFF_SRC: source, **self.workspace})
        plan.contribute(self.node.inputs[0], source)


class Concat:
    """Channels behind one another."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        shapes = [plan.shapes[value] for value in node.inputs]
        n, _, h, w = shapes[0]
        if any(shape[2:] != [h, w] for shape in shapes):
            raise UnsupportedError("a concatenation of unlike shapes")
        whole = [n, sum(shape[1] for shape in shapes), h, w]
        layouts = [plan.layout(shape) for shape in shapes]
        pointers = (c_void_p * len(layouts))(*(layout.pointer for layout in layouts))
        description = plan.library.describe(
            "concat", plan.layout(whole), c_int(len(layouts)), c_int(1), pointers
        )
        sources = {dnn.SOURCES + i: plan.values[value] for i, value in enumerate(node.inputs)}
        plan.call(description, {**sources, dnn.DST: plan.new_value(node.output, whole)})

    def backward(self, plan: Plan) -> None:
        """Hand each input its channels of the gradient."""
        first = 0
        for value in self.node.inputs:
            _hand_back(plan, self.node.output, value, first)
            first += plan.shapes[value][1]


class PadChannels:
    """Channels of zeros behind those of a value."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        n, c, h, w = plan.shapes[node.inputs[0]]
        result = plan.own_value(node.output, [n, c + node.attributes[0], h, w])
        result.floats[:] = 0  # and nobody ever writes to the channels behind
        plan.copy(plan.values[node.inputs[0]], plan.part(result, [n, c, h, w], (0, 0, 0, 0)))

    def backward(self, plan: Plan) -> None:
        """Append the gradient of the input."""
        _hand_back(plan, self.node.output, self.node.inputs[0], 0)


class Flatten:
    """All numbers of an image in a row, channel after channel."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        n, *rest = self.shape = plan.shapes[node.inputs[0]]
        if rest[1:] == [1, 1]:
            plan.alias(node.output, node.inputs[0])
            return
        result = plan.new_value(node.output, [n, prod(rest), 1, 1])
        plan.copy(plan.values[node.inputs[0]], plan.seen_as(plan.library.layout(self.shape, "plain"), result))

    def backward(self, plan: Plan) -> None:
        """Hand the gradient on."""
        gradient = plan.gradients[self.node.output]
        if self.shape[2:] == [1, 1]:
            plan.contribute(self.node.inputs[0], plan.share(gradient))
            return
        source = plan.borrow(self.shape)
        plan.copy(plan.seen_as(plan.library.layout(self.shape, "plain"), gradient), source)
        plan.contribute(self.node.inputs[0], source)


def _hand_back(plan: Plan, output: int, value: int, first_channel: int) -> None:
    """Append the gradient of a value that is some channels of another."""
    part = plan.part(plan.gradients[output], plan.shapes[value], (0, first_channel, 0, 0))
    source = plan.borrow(plan.shapes[value])
    plan.copy(part, source)
    plan.contribute(value, source)


def dims(values: Sequence[int]) -> Any:
    """Return numbers as oneDNN's `dnnl_dim_t` array."""
    return (c_int64 * len(values))(*values)
