"""The operations of a tape as calls of oneDNN, forward and backward.

An operation is built once for a step (a network with one batch shape): building appends its forward calls to
the plan, `backward` its backward calls. Values lie in memory with the channels last, (N, H, W, C), which
suits dense convolutions best and fits any number of channels. In a network with depthwise convolutions they
lie in blocks of channels.
"""

from ctypes import c_float, c_int, c_uint

import numpy as np
from paddle import nn

import paddle_wrn.native.onednn as dnn
from paddle_wrn.native.convolution import Convolution
from paddle_wrn.native.onednn import Memory
from paddle_wrn.native.plan import Operation, Plan
from paddle_wrn.native.shapes import Concat, Flatten, PadChannels, Pool
from paddle_wrn.native.tape import Node, UnsupportedError

_SIXTEEN_BITS = 1 << 16


class BatchNorm:
    """BatchNorm by the batch in training, by the running statistics in evaluation; with an activation."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        layer = node.layer
        assert isinstance(layer, nn.BatchNorm2D)
        shape = plan.shapes[node.inputs[0]]
        activation = node.after[0] if node.after else None
        does_relu = activation is not None and activation.kind == "relu" and activation.attributes[0] == 0
        flags = dnn.USE_SCALE | dnn.USE_SHIFT | (dnn.FUSE_RELU if does_relu else 0)
        flags |= 0 if plan.training else dnn.GLOBAL_STATS
        layout = plan.layout(shape)
        self.rule = (c_float(layer._epsilon), c_uint(flags))
        self.forward = plan.library.describe(
            "batch_normalization_forward", plan.kind, layout, layout, *self.rule
        )
        self.channels = channels = plan.library.layout(shape[1:2], "plain")
        self.scale = plan.parameter(layer, "weight", channels)
        result = plan.new_value(node.output, shape)
        arguments = {
            dnn.SRC: plan.values[node.inputs[0]],
            dnn.DST: result,
            dnn.SCALE: self.scale,
            dnn.SHIFT: plan.parameter(layer, "bias", channels),
        }
        names = {dnn.MEAN: "_mean", dnn.VARIANCE: "_variance"}
        running = {which: plan.parameter(layer, name, channels) for which, name in names.items()}
        self.statistics = running
        if plan.training:
            self.statistics = {which: Memory(plan.library, channels) for which in running}
            for which, average in running.items():
                plan.tracked.append((average, layer._momentum, self.statistics[which]))
        workspace = plan.library.layout_of(self.forward, dnn.WORKSPACE) if plan.training else None
        self.workspace = {dnn.WORKSPACE: Memory(plan.library, workspace)} if workspace else {}
        plan.call(self.forward, {**arguments, **self.statistics, **self.workspace})
        self.activation = None
        if activation is not None and not does_relu:
            self.activation = _Activation(plan, activation, shape)
            self.activation.apply(plan, result, result)
            if activation.kind == "relu6":
                plan.telling += self.statistics.values()

    def backward(self, plan: Plan) -> None:
        """Append the gradients of scale, shift and input."""
        node, layer = self.node, self.node.layer
        assert layer is not None
        shape = plan.shapes[node.inputs[0]]
        layout = plan.layout(shape)
        layouts = (layout, layout, layout, *self.rule, self.forward)
        description = plan.library.describe("batch_normalization_backward", c_int(dnn.BACKWARD), *layouts)
        source, gradient = plan.overwritten(node.output), plan.gradients[node.output]
        if self.activation is not None:
            self.activation.apply_backward(plan, plan.values[node.output], gradient, source)
            gradient = source
        plan.call(
            description,
            {
                dnn.SRC: plan.values[node.inputs[0]],
                dnn.DIFF_DST: gradient,
                dnn.DIFF_SRC: source,
                dnn.SCALE: self.scale,
                dnn.DIFF_SCALE: plan.parameter_gradient(layer, "weight", self.channels),
                dnn.DIFF_SHIFT: plan.parameter_gradient(layer, "bias", self.channels),
                **self.statistics,
                **self.workspace,
            },
        )
        plan.contribute(node.inputs[0], source)


class _Activation:
    """ReLU, leaky or not, or ReLU6; its gradient needs the result alone.

    oneDNN's ReLU6 makes a 0 of NaN, which Paddle's leaves alone. Behind BatchNorm the statistics tell of it,
    and the features become NaN. ReLU makes a 0 of it in Paddle as well.
    """

    def __init__(self, plan: Plan, node: Node, shape: list[int]) -> None:
        layout = plan.layout(shape)
        algorithm = c_int(dnn.CLIP_BY_RESULT if node.kind == "relu6" else dnn.RELU_BY_RESULT)
        numbers = [c_float(number) for number in node.attributes]
        describe = plan.library.describe
        self.forward = describe("eltwise_forward", plan.kind, algorithm, layout, layout, *numbers)
        self.backward = None
        if plan.training:
            self.backward = describe(
                "eltwise_backward", algorithm, layout, layout, layout, *numbers, self.forward
            )

    def apply(self, plan: Plan, source: Memory, result: Memory) -> None:
        """Append the activation; `result` may be `source`."""
        plan.call(self.forward, {dnn.SRC: source, dnn.DST: result})

    def apply_backward(self, plan: Plan, result: Memory, gradient: Memory, source: Memory) -> None:
        """Append the gradient of the input."""
        assert self.backward is not None
        plan.call(self.backward, {dnn.DST: result, dnn.DIFF_DST: gradient, dnn.DIFF_SRC: source})


class Relu:
    """An activation on its own."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        shape = plan.shapes[node.inputs[0]]
        self.activation = _Activation(plan, node, shape)
        self.activation.apply(plan, plan.values[node.inputs[0]], plan.new_value(node.output, shape))

    def backward(self, plan: Plan) -> None:
        """Append the gradient of the input."""
        value, result = self.node.inputs[0], self.node.output
        source = plan.overwritten(result)
        self.activation.apply_backward(plan, plan.values[result], plan.gradients[result], source)
        plan.contribute(value, source)


class Add:
    """A sum that no convolution could take over."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        one, other = (plan.shapes[value] for value in node.inputs)
        if one != other:
            raise UnsupportedError("a sum of unlike shapes")
        plan.add(plan.values[node.inputs[0]], plan.values[node.inputs[1]], plan.new_value(node.output, one))

    def backward(self, plan: Plan) -> None:
        """Hand the gradient to both summands."""
        for value in self.node.inputs:
            plan.contribute(value, plan.share(plan.gradients[self.node.output]))


class Dropout:
    """Dropout in training, nothing in evaluation.

    The mask is drawn from a seed that every pass takes from Paddle's generator. Sixteen random bits decide
    about an element, so the probability is the nearest multiple of 1 / 65536, and the scale fits it.
    """

    def __init__(self, plan: Plan, node: Node) -> None:
        self.node = node
        assert isinstance(node.layer, nn.Dropout)
        kept = round((1 - node.layer.p) * _SIXTEEN_BITS)
        self.active = plan.training and kept < _SIXTEEN_BITS
        shape = plan.shapes[node.inputs[0]]
        if not self.active:
            plan.alias(node.output, node.inputs[0])
            return
        layout = plan.layout(shape)
        self.mask = Memory(plan.library, layout)
        self.description = plan.library.describe("binary", c_int(dnn.MULTIPLY), layout, layout, layout)
        floats = self.mask.floats

        def draw() -> None:
            bits = np.frombuffer(plan.random.bytes(2 * floats.size), np.uint16)
            np.multiply(bits < kept, np.float32(_SIXTEEN_BITS / kept), out=floats)

        plan.draws = True
        plan.calls.append(draw)
        result = plan.new_value(node.output, shape)
        plan.call(
            self.description, {dnn.SRC: plan.values[node.inputs[0]], dnn.SRC_1: self.mask, dnn.DST: result}
        )

    def backward(self, plan: Plan) -> None:
        """Append the gradient of the input."""
        value = self.node.inputs[0]
        gradient = plan.gradients[self.node.output]
        if not self.active:
            plan.contribute(value, plan.share(gradient))
            return
        source = plan.borrow(plan.shapes[value])
        plan.call(self.description, {dnn.SRC: gradient, dnn.SRC_1: self.mask, dnn.DST: source})
        plan.contribute(value, source)


OPERATIONS: dict[str, type[Operation]] = {
    "convolution": Convolution,
    "batch_norm": BatchNorm,
    "relu": Relu,
    "relu6": Relu,
    "add": Add,
    "dropout": Dropout,
    "average_pool": Pool,
    "max_pool": Pool,
    "concat": Concat,
    "pad_channels": PadChannels,
    "flatten": Flatten,
}
