"""A tape bound to one batch shape, ready to compute."""

from collections.abc import Collection, Mapping, Sequence
from math import prod

import numpy as np
import paddle
from paddle import Tensor

from paddle_wrn.native.onednn import Library
from paddle_wrn.native.plan import Operation, Plan
from paddle_wrn.native.tape import Node, Parameter, Tape, UnsupportedError, folded

_LARGEST_SEED = 2**31 - 1
_FLOAT_BYTES = 4


class Step:
    """One pass through a network and back; it owns its activations, so it does one pass at a time.

    Attributes:
        image_shape: (N, C, H, W) of the images.
        training: batch statistics and dropout, or neither.
        learning: the parameters whose gradients are wanted.

    Args:
        library: oneDNN.
        tape: the network.
        kinds: what the words on the tape stand for.
        shape: (N, C, H, W) of the images.
        training: see above.
        learning: see above; what lies before the first of them is not differentiated.

    Raises:
        UnsupportedError: the network cannot be computed for this shape.
        OneDNNError: likewise.
    """

    def __init__(
        self,
        library: Library,
        tape: Tape,
        kinds: Mapping[str, type[Operation]],
        shape: Sequence[int],
        *,
        training: bool,
        learning: Collection[Parameter] = (),
    ) -> None:
        self.image_shape, self.training, self.learning = tuple(shape), training, frozenset(learning)
        nodes = tape.nodes if training else folded(tape.nodes)
        self._tape = tape
        self._plan = plan = Plan(library, nodes, shape, training=training, learning=learning)
        operations = _build_forward(plan, kinds, nodes)
        self._forward, plan.calls = plan.calls, []
        result = nodes[-1].output
        self._result, self._result_shape = plan.values[result], plan.shapes[result]
        if plan.wants(result):
            self._result_gradient = plan.gradients[result] = plan.borrow(self._result_shape)
            _build_backward(plan, operations)
        self._backward = plan.calls
        plan.share_scratchpads()

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (N, C); in training, also update the running statistics.

        In evaluation there may be more images than the step was built for, which then takes several passes.
        """
        plan = self._plan
        if plan.draws:
            seed = paddle.randint(0, _LARGEST_SEED, [1], "int64").item()
            plan.random = np.random.Generator(np.random.SFC64(seed))
        for (layer, name), memory in plan.parameters.items():
            memory.move(getattr(layer, name).data_ptr())
        for call in plan.preparation:
            call()
        self._images = images  # the way back may read them once more
        size, first_image = self.image_shape[0], images.data_ptr()
        features = np.empty((len(images), self._result_shape[1]), np.float32)
        for start in (*range(0, len(images) - size, size), len(images) - size):  # the last may overlap
            plan.images.move(first_image + start * _FLOAT_BYTES * prod(self.image_shape[1:]))
            for call in self._forward:
                call()
            features[start : start + size] = self._result.floats.reshape(size, -1)
        for running, momentum, batch in plan.tracked:
            average = running.floats
            average *= momentum
            average += (1 - momentum) * batch.floats
        if not all(np.isfinite(memory.floats).all() for memory in plan.telling):
            features.fill(np.nan)
        return paddle.to_tensor(features)

    def backward(self, gradient: Tensor) -> list[Tensor | None]:
        """Return the gradients of the tape's parameters from that of the features; None for frozen ones."""
        self._result_gradient.floats[:] = gradient.numpy().ravel()
        gradients = {}
        for (layer, name), memory in self._plan.parameter_gradients.items():
            gradients[layer, name] = paddle.empty_like(getattr(layer, name))
            memory.move(gradients[layer, name].data_ptr())
        for call in self._backward:
            call()
        return [gradients[key] if key in self.learning else None for key in self._tape.parameters]


def _build_forward(plan: Plan, kinds: Mapping[str, type[Operation]], nodes: list[Node]) -> list[Operation]:
    """Collect the calls of the forward pass; values the way back does not need give up their memory."""
    last_use = {value: node for node in nodes for value in node.inputs}
    differentiated = [node for node in nodes if plan.wants(node.output)]
    needed = {value for node in differentiated for value in (*node.inputs, node.output)}
    operations = []
    for node in nodes:
        operations.append(kinds[node.kind](plan, node))
        for value in set(node.inputs) - needed:
            if last_use[value] is node:
                plan.release(plan.values[value])
    return operations


def _build_backward(plan: Plan, operations: list[Operation]) -> None:
    """Collect the calls of the backward pass."""
    for operation in reversed(operations):
        value = operation.node.output
        if plan.wants(value):
            if value not in plan.gradients:
                raise UnsupportedError("a layer whose result is not used")
            operation.backward(plan)
            plan.release(plan.gradients.pop(value))
