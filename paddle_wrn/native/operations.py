"""The operations of a tape as calls of oneDNN, forward and backward.

An operation is built once for a step (a network with one batch shape): building appends its forward calls to
the step, `backward` its backward calls. All activations lie in memory with the channels last, (N, H, W, C),
which suits oneDNN as well as its own blocked layouts and fits any number of channels.
"""

from ctypes import c_float, c_int, c_uint

import numpy as np
from paddle import nn

import paddle_wrn.native.onednn as dnn
from paddle_wrn.native.onednn import Handle, Memory, PostOperation
from paddle_wrn.native.shapes import Concat, Flatten, PadChannels, Pool, dims
from paddle_wrn.native.step import Operation, Step, floats_of
from paddle_wrn.native.tape import Node, UnsupportedError

_SIXTEEN_BITS = 1 << 16


class Convolution:
    """A convolution, its bias, and what the tape lets it do with the result."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        layer = node.layer
        assert isinstance(layer, nn.Conv2D)
        n, c_in, h, w = step.shapes[node.inputs[0]]
        c_out, _, *kernel = layer.weight.shape
        padding = list(layer._updated_padding)  # (h, w) or (top, bottom, left, right)
        before, after = (padding[::2], padding[1::2]) if len(padding) == 4 else (padding, padding)
        dilation = [d - 1 for d in layer._dilation]
        sides = [
            (side + before[i] + after[i] - dilation[i] * (kernel[i] - 1) - kernel[i]) // layer._stride[i] + 1
            for i, side in enumerate((h, w))
        ]
        if min(sides) < 1:
            raise UnsupportedError("images smaller than a kernel")
        lib = step.library
        shape = [n, c_out, *sides]
        self.source, self.result = step.layout([n, c_in, h, w]), step.layout(shape)
        self.packed = lib.layout([c_out, c_in, *kernel], "any")
        self.bias = lib.layout([c_out], "plain") if layer.bias is not None else None
        self.geometry = [dims(layer._stride), dims(dilation), dims(before), dims(after)]
        after, operands = self._after(step, node)
        self.forward = lib.describe(
            "convolution_forward",
            *(step.kind, c_int(dnn.DIRECT_CONVOLUTION), self.source, self.packed, self.bias, self.result),
            *self.geometry,
            after=after,
        )
        self.plain = lib.layout([c_out, c_in, *kernel], "plain")
        self.weight = step.parameter(layer, "weight", self.plain)
        arguments = {
            dnn.SRC: step.values[node.inputs[0]],
            dnn.WEIGHTS: step.packed(self.weight, self.forward),
            dnn.DST: step.new_value(node.output, shape),
        }
        if self.bias is not None:
            arguments[dnn.BIAS] = step.parameter(layer, "bias", self.bias)
        step.call(self.forward, arguments | operands)

    def _after(self, step: Step, node: Node) -> tuple[list[PostOperation], dict[int, Memory]]:
        """Return what is done with the result, and the operands of that."""
        after: list[PostOperation] = []
        operands: dict[int, Memory] = {}

        def append(algorithm: int, operand: Memory, layout: Handle) -> None:
            operands[dnn.operand_of(len(after))] = operand
            after.append((algorithm, layout))

        addends = iter(node.inputs[1:])
        for following in node.after:
            if following.kind == "add":
                append(dnn.ADD, step.values[next(addends)], self.result)
            elif following.kind == "batch_norm":
                scale, shift, layout = _folded_norm(step, following.layer)
                append(dnn.MULTIPLY, scale, layout)
                append(dnn.ADD, shift, layout)
            if following.relu or following.kind in ("relu", "leaky_relu"):
                after.append((dnn.RELU, *(following.attributes or (0.0,))))
        return after, operands

    def backward(self, step: Step) -> None:
        """Append the gradients of weights, bias and input; that of the sum's other value is the result's."""
        node, layer, lib = self.node, self.node.layer, step.library
        assert layer is not None
        gradient = step.gradients[node.output]
        algorithm = c_int(dnn.DIRECT_CONVOLUTION)
        weights = lib.describe(
            "convolution_backward_weights",
            *(algorithm, self.source, self.packed, self.bias, self.result, *self.geometry, self.forward),
        )
        arguments = {dnn.SRC: step.values[node.inputs[0]], dnn.DIFF_DST: gradient}
        if self.bias is not None:
            arguments[dnn.DIFF_BIAS] = step.parameter_gradient(layer, "bias", self.bias)
        packed = step.fitting(step.parameter_gradient(layer, "weight", self.plain), weights, dnn.DIFF_WEIGHTS)
        step.call(weights, {**arguments, dnn.DIFF_WEIGHTS: packed})
        step.copy(packed, step.parameter_gradient(layer, "weight", self.plain))
        if node.inputs[0] != 0:  # nobody asks for the gradient of the images
            data = lib.describe(
                "convolution_backward_data",
                *(algorithm, self.source, self.packed, self.result, *self.geometry, self.forward),
            )
            packed = step.packed(self.weight, data)
            source = step.borrow(step.shapes[node.inputs[0]])
            step.call(data, {dnn.DIFF_DST: gradient, dnn.WEIGHTS: packed, dnn.DIFF_SRC: source})
            step.contribute(node.inputs[0], source)
        if len(node.inputs) == 2:
            step.contribute(node.inputs[1], step.share(gradient))


def _folded_norm(step: Step, layer: nn.Layer | None) -> tuple[Memory, Memory, Handle]:
    """Append what makes factors and summands of a BatchNorm in evaluation; return them and their layout."""
    assert isinstance(layer, nn.BatchNorm2D)
    layout = step.library.layout([1, layer._num_features, 1, 1], "plain")
    scale, shift = Memory(step.library, layout), Memory(step.library, layout)

    def fold() -> None:
        deviation = np.sqrt(floats_of(layer._variance) + np.float32(layer._epsilon))
        np.divide(floats_of(layer.weight), deviation, out=scale.floats)
        np.subtract(floats_of(layer.bias), floats_of(layer._mean) * scale.floats, out=shift.floats)

    step.calls.append(fold)
    return scale, shift, layout


class BatchNorm:
    """BatchNorm by the batch in training, by the running statistics in evaluation; with ReLU if wanted."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        layer = node.layer
        assert isinstance(layer, nn.BatchNorm2D)
        shape = step.shapes[node.inputs[0]]
        flags = dnn.USE_SCALE | dnn.USE_SHIFT | (dnn.FUSE_RELU if node.relu else 0)
        flags |= 0 if step.training else dnn.GLOBAL_STATS
        layout = step.layout(shape)
        self.rule = (c_float(layer._epsilon), c_uint(flags))
        self.forward = step.library.describe(
            "batch_normalization_forward", step.kind, layout, layout, *self.rule
        )
        self.channels = channels = step.library.layout(shape[1:2], "plain")
        self.scale = step.parameter(layer, "weight", channels)
        arguments = {
            dnn.SRC: step.values[node.inputs[0]],
            dnn.DST: step.new_value(node.output, shape),
            dnn.SCALE: self.scale,
            dnn.SHIFT: step.parameter(layer, "bias", channels),
        }
        if step.training:
            self.statistics = {
                dnn.MEAN: Memory(step.library, channels),
                dnn.VARIANCE: Memory(step.library, channels),
            }
            step.track(layer, self.statistics[dnn.MEAN], self.statistics[dnn.VARIANCE])
            workspace = step.library.layout_of(self.forward, dnn.WORKSPACE)
            self.workspace = {dnn.WORKSPACE: Memory(step.library, workspace)} if workspace else {}
        else:
            self.statistics = {
                dnn.MEAN: step.parameter(layer, "_mean", channels),
                dnn.VARIANCE: step.parameter(layer, "_variance", channels),
            }
            self.workspace = {}
        step.call(self.forward, {**arguments, **self.statistics, **self.workspace})

    def backward(self, step: Step) -> None:
        """Append the gradients of scale, shift and input."""
        node, layer = self.node, self.node.layer
        assert layer is not None
        shape = step.shapes[node.inputs[0]]
        layout = step.layout(shape)
        description = step.library.describe(
            "batch_normalization_backward",
            c_int(dnn.BACKWARD),
            layout,
            layout,
            layout,
            *self.rule,
            self.forward,
        )
        source = step.borrow(shape)
        step.call(
            description,
            {
                dnn.SRC: step.values[node.inputs[0]],
                dnn.DIFF_DST: step.gradients[node.output],
                dnn.DIFF_SRC: source,
                dnn.SCALE: self.scale,
                dnn.DIFF_SCALE: step.parameter_gradient(layer, "weight", self.channels),
                dnn.DIFF_SHIFT: step.parameter_gradient(layer, "bias", self.channels),
                **self.statistics,
                **self.workspace,
            },
        )
        step.contribute(node.inputs[0], source)


class Relu:
    """ReLU on its own, leaky or not; its gradient needs the result alone."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        shape = step.shapes[node.inputs[0]]
        layout = step.layout(shape)
        self.slope = (c_float(node.attributes[0]), c_float(0))
        self.forward = step.library.describe(
            "eltwise_forward", step.kind, c_int(dnn.RELU_BY_RESULT), layout, layout, *self.slope
        )
        result = step.new_value(node.output, shape)
        step.call(self.forward, {dnn.SRC: step.values[node.inputs[0]], dnn.DST: result})

    def backward(self, step: Step) -> None:
        """Append the gradient of the input."""
        shape = step.shapes[self.node.inputs[0]]
        layout = step.layout(shape)
        description = step.library.describe(
            "eltwise_backward", c_int(dnn.RELU_BY_RESULT), layout, layout, layout, *self.slope, self.forward
        )
        source = step.borrow(shape)
        gradient, result = step.gradients[self.node.output], step.values[self.node.output]
        step.call(description, {dnn.DST: result, dnn.DIFF_DST: gradient, dnn.DIFF_SRC: source})
        step.contribute(self.node.inputs[0], source)


class Add:
    """A sum that no convolution could take over."""

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        one, other = (step.shapes[value] for value in node.inputs)
        if one != other:
            raise UnsupportedError("a sum of unlike shapes")
        step.add(step.values[node.inputs[0]], step.values[node.inputs[1]], step.new_value(node.output, one))

    def backward(self, step: Step) -> None:
        """Hand the gradient to both summands."""
        for value in self.node.inputs:
            step.contribute(value, step.share(step.gradients[self.node.output]))


class Dropout:
    """Dropout in training, nothing in evaluation.

    The mask is drawn from a seed that every pass takes from Paddle's generator. Sixteen random bits decide
    about an element, so the probability is the nearest multiple of 1 / 65536, and the scale fits it.
    """

    def __init__(self, step: Step, node: Node) -> None:
        self.node = node
        assert isinstance(node.layer, nn.Dropout)
        kept = round((1 - node.layer.p) * _SIXTEEN_BITS)
        self.active = step.training and kept < _SIXTEEN_BITS
        shape = step.shapes[node.inputs[0]]
        if not self.active:
            step.alias(node.output, node.inputs[0])
            return
        layout = step.layout(shape)
        self.mask = Memory(step.library, layout)
        self.description = step.library.describe("binary", c_int(dnn.MULTIPLY), layout, layout, layout)
        floats = self.mask.floats

        def draw() -> None:
            bits = np.frombuffer(step.random.bytes(2 * floats.size), np.uint16)
            np.multiply(bits < kept, np.float32(_SIXTEEN_BITS / kept), out=floats)

        step.draws = True
        step.calls.append(draw)
        result = step.new_value(node.output, shape)
        step.call(
            self.description, {dnn.SRC: step.values[node.inputs[0]], dnn.SRC_1: self.mask, dnn.DST: result}
        )

    def backward(self, step: Step) -> None:
        """Append the gradient of the input."""
        value = self.node.inputs[0]
        gradient = step.gradients[self.node.output]
        if not self.active:
            step.contribute(value, step.share(gradient))
            return
        source = step.borrow(step.shapes[value])
        step.call(self.description, {dnn.SRC: gradient, dnn.SRC_1: self.mask, dnn.DST: source})
        step.contribute(value, source)


OPERATIONS: dict[str, type[Operation]] = {
    "convolution": Convolution,
    "batch_norm": BatchNorm,
    "relu": Relu,
    "add": Add,
    "dropout": Dropout,
    "leaky_relu": Relu,
    "average_pool": Pool,
    "max_pool": Pool,
    "concat": Concat,
    "pad_channels": PadChannels,
    "flatten": Flatten,
}
