"""Convolutions as calls of oneDNN: dense, grouped or depthwise, with all that is done to their results."""

from collections.abc import Sequence
from ctypes import c_int
from dataclasses import dataclass
from typing import Any

import numpy as np
from paddle import nn

import paddle_wrn.native.onednn as dnn
from paddle_wrn.native.onednn import Handle, Memory, PostOperation
from paddle_wrn.native.plan import Plan
from paddle_wrn.native.shapes import dims
from paddle_wrn.native.tape import Node, UnsupportedError

_ALGORITHM = c_int(dnn.DIRECT_CONVOLUTION)
_WIDEST = 3  # columns of depthwise kernels whose gradient oneDNN computes fast


@dataclass(frozen=True)
class Geometry:
    """How kernels lie on images; every pair is (height, width)."""

    kernel: Sequence[int]
    stride: Sequence[int]
    dilation: Sequence[int] = (1, 1)
    before: Sequence[int] = (0, 0)  # zeros at the top and at the left
    after: Sequence[int] = (0, 0)  # and at the bottom and at the right

    def results(self, sides: Sequence[int]) -> list[int]:
        """Return height and width of what becomes of images of these sides."""
        spans = [self.dilation[i] * (self.kernel[i] - 1) + 1 for i in range(2)]
        padded = [self.before[i] + sides[i] + self.after[i] for i in range(2)]
        return [(padded[i] - spans[i]) // self.stride[i] + 1 for i in range(2)]

    def arguments(self) -> list[Any]:
        """Return what oneDNN asks for; its dilation counts from 0."""
        dilation = [d - 1 for d in self.dilation]
        return [dims(pair) for pair in (self.stride, dilation, self.before, self.after)]


def geometry_of(layer: nn.Conv2D, sides: Sequence[int]) -> Geometry:
    """Return the geometry of a layer on images of these sides."""
    kernel, stride = layer.weight.shape[2:], layer._stride
    if layer._padding_algorithm == "SAME":  # as many results as strides; an odd zero goes behind
        reach = [(-(-sides[i] // stride[i]) - 1) * stride[i] + kernel[i] for i in range(2)]
        zeros = [max(reach[i] - sides[i], 0) for i in range(2)]
        before = [total // 2 for total in zeros]
        return Geometry(kernel, stride, (1, 1), before, [zeros[i] - before[i] for i in range(2)])
    padding = list(layer._updated_padding)  # (h, w) or (top, bottom, left, right)
    before, after = (padding[::2], padding[1::2]) if len(padding) == 4 else (padding, padding)
    return Geometry(kernel, stride, layer._dilation, before, after)


class Convolution:
    """A convolution, its bias, and what the tape lets it do with the result."""

    def __init__(self, plan: Plan, node: Node) -> None:
        layer = node.layer
        assert isinstance(layer, nn.Conv2D)
        self.node, self.layer = node, layer
        n, _, *sides = plan.shapes[node.inputs[0]]
        self.geometry = geometry_of(layer, sides)
        self.sides = self.geometry.results(sides)
        if min(self.sides) < 1:
            raise UnsupportedError("images smaller than a kernel")
        c_out, *rest = layer.weight.shape
        groups = layer._groups
        self.weight_shape = [groups, c_out // groups, *rest] if groups > 1 else [c_out, *rest]
        library = plan.library
        self.source, self.result = plan.values[node.inputs[0]].layout, plan.layout([n, c_out, *self.sides])
        self.packed, self.plain = (library.layout(self.weight_shape, layout) for layout in ("any", "plain"))
        self.channels = library.layout([c_out], "plain")
        self._append_forward(plan, [n, c_out, *self.sides])

    def _append_forward(self, plan: Plan, shape: list[int]) -> None:
        node, layer = self.node, self.layer
        following, operands = list(node.after), {}
        if layer.bias is not None:
            operands[dnn.BIAS] = plan.parameter(layer, "bias", self.channels)
        scale = None
        if following and following[0].kind == "batch_norm":  # into the weights and the bias
            norm = following.pop(0)
            scale, operands[dnn.BIAS] = _folded(plan, norm, self.channels, operands.get(dnn.BIAS))
            if following and following[0].kind == "relu6":
                plan.telling += [scale, operands[dnn.BIAS]]
        scaled = 0 if scale is None else len(self.weight_shape) - 3
        after = self._after(plan, following, operands)
        bias = self.channels if dnn.BIAS in operands else None
        layouts = (self.source, self.packed, bias, self.result, *self.geometry.arguments())
        self.forward = plan.library.describe(
            "convolution_forward", plan.kind, _ALGORITHM, *layouts, after=after
        )
        self.weight = plan.parameter(layer, "weight", self.plain)
        arguments = {
            dnn.SRC: plan.values[node.inputs[0]],
            dnn.WEIGHTS: plan.packed(self.weight, self.forward, scale, scaled),
            dnn.DST: plan.new_value(node.output, shape),
        }
        plan.call(self.forward, {**arguments, **operands})

    def _after(self, plan: Plan, following: list[Node], operands: dict[int, Memory]) -> list[PostOperation]:
        """Return what is done with the result, and add the operands of that."""
        after: list[PostOperation] = []

        def append(algorithm: int, operand: Memory, layout: Handle) -> None:
            operands[dnn.operand_of(len(after))] = operand
            after.append((algorithm, layout))

        addends = iter(self.node.inputs[1:])
        for node in following:
            if node.kind == "add":
                append(dnn.ADD, plan.values[next(addends)], self.result)
            elif node.kind == "batch_norm":
                layout = plan.library.layout([1, self.layer.weight.shape[0], 1, 1], "plain")
                scale, shift = _folded(plan, node, self.channels)
                append(dnn.MULTIPLY, scale, layout)
                append(dnn.ADD, shift, layout)
            else:
                after.append((dnn.CLIP if node.kind == "relu6" else dnn.RELU, node.attributes))
        return after

    def backward(self, plan: Plan) -> None:
        """Append the gradients of weights, bias and input; that of the sum's other value is the result's."""
        gradient = plan.gradients[self.node.output]
        value, *addends = self.node.inputs
        if plan.learns(self.layer, "weight") or plan.learns(self.layer, "bias"):
            self._append_gradient(plan, gradient)
        if plan.wants(value):
            layouts = (self.source, self.packed, self.result, *self.geometry.arguments(), self.forward)
            description = plan.library.describe("convolution_backward_data", _ALGORITHM, *layouts)
            weight = plan.packed(self.weight, description)
            source = plan.borrow(plan.shapes[value])
            plan.call(description, {dnn.DIFF_DST: gradient, dnn.WEIGHTS: weight, dnn.DIFF_SRC: source})
            plan.contribute(value, source)
        for addend in addends:
            plan.contribute(addend, plan.share(gradient))

    def _append_gradient(self, plan: Plan, gradient: Memory) -> None:
        """Append the gradients of weights and bias.

        In blocks of channels oneDNN has fast code for narrow depthwise kernels only, and is 1000 times slower
        with wide ones. So their gradient is computed a few columns at a time.
        """
        value, target = self.node.inputs[0], plan.parameter_gradient(self.layer, "weight", self.plain)
        rows, width = self.geometry.kernel
        depthwise = self.weight_shape[1:-2] == [1, 1]
        if not (plan.blocks and depthwise and width > _WIDEST) or max(self.geometry.dilation) > 1:
            self._append_gradient_of(
                plan, gradient, plan.values[value], self.geometry, self.layer.bias, target
            )
            return
        whole = Memory(plan.library, self.plain)
        for first in range(0, width, _WIDEST):
            columns = Geometry((rows, min(_WIDEST, width - first)), self.geometry.stride)
            part = plan.part(whole, [*self.weight_shape[:-2], *columns.kernel], (0, 0, 0, 0, first))
            source = self._seen_by(plan, columns, first)
            bias = self.layer.bias if first == 0 else None
            self._append_gradient_of(plan, gradient, source, columns, bias, part)
        plan.copy(whole, target)

    def _append_gradient_of(
        self,
        plan: Plan,
        gradient: Memory,
        source: Memory,
        geometry: Geometry,
        bias: Any,
        target: Memory,
    ) -> None:
        """Append what writes the gradient of weights to `target`, and that of a bias to its place."""
        weight = plan.library.layout([*self.weight_shape[:-2], *geometry.kernel], "any")
        channels = None if bias is None else self.channels
        layouts = (source.layout, weight, channels, self.result, *geometry.arguments())
        forward = plan.library.describe("convolution_forward", plan.kind, _ALGORITHM, *layouts)
        description = plan.library.describe("convolution_backward_weights", _ALGORITHM, *layouts, forward)
        packed = plan.fitting(target, description, dnn.DIFF_WEIGHTS)
        arguments = {dnn.SRC: source, dnn.DIFF_DST: gradient, dnn.DIFF_WEIGHTS: packed}
        if bias is not None:
            arguments[dnn.DIFF_BIAS] = plan.parameter_gradient(self.layer, "bias", self.channels)
        plan.call(description, arguments)
        plan.copy(packed, target)

    def _seen_by(self, plan: Plan, columns: Geometry, first: int) -> Memory:
        """Append what copies the pixels that meet some columns of the kernels; return where, zeros around."""
        value = self.node.inputs[0]
        n, c, *sides = plan.shapes[value]
        lengths = [(self.sides[i] - 1) * columns.stride[i] + columns.kernel[i] for i in range(2)]
        begins = [-self.geometry.before[0], first - self.geometry.before[1]]
        low = [max(0, begin) for begin in begins]  # of what the copy and the image share, in the image
        size = [min(sides[i], begins[i] + lengths[i]) - low[i] for i in range(2)]
        inside = [low[i] - begins[i] for i in range(2)]  # likewise, in the copy
        copy = plan.framed([n, c, *lengths], (*inside, *size))
        if min(size) > 0:
            source = plan.part(plan.values[value], [n, c, *size], (0, 0, *low))
            plan.copy(source, plan.part(copy, [n, c, *size], (0, 0, *inside)))
        return copy


def _folded(plan: Plan, node: Node, channels: Handle, bias: Memory | None = None) -> tuple[Memory, Memory]:
    """Prepare the factors and summands that a BatchNorm is in evaluation, and a bias before it."""
    layer = node.layer
    assert isinstance(layer, nn.BatchNorm2D)
    names = ("weight", "bias", "_mean", "_variance")
    factor, summand, mean, variance = (plan.parameter(layer, name, channels) for name in names)
    scale, shift = Memory(plan.library, channels), Memory(plan.library, channels)
    epsilon = np.float32(layer._epsilon)

    def fold() -> None:
        np.divide(factor.floats, np.sqrt(variance.floats + epsilon), out=scale.floats)
        centre = mean.floats if bias is None else mean.floats - bias.floats
        np.subtract(summand.floats, centre * scale.floats, out=shift.floats)

    plan.preparation.append(fold)
    return scale, shift
