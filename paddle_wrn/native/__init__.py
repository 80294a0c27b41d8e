"""Training and evaluation on the processor at the speed of oneDNN.

    forward = accelerate(model)
    logits = forward(images)        # in place of model(images); loss, backward and optimizer as always

The network stays what it is: a Paddle layer with Paddle's parameters. `forward` computes the same as `model`,
in one go, with the oneDNN inside Paddle's wheel, which Paddle itself does not use here. Nothing is compiled
or installed. Where it cannot, it says why, once, and lets the model do it.
"""

import ctypes
import logging
import platform
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.autograd import PyLayer

from paddle_wrn.models.transfer import see
from paddle_wrn.native.onednn import Library, OneDNNError
from paddle_wrn.native.operations import OPERATIONS
from paddle_wrn.native.recording import record
from paddle_wrn.native.step import Step
from paddle_wrn.native.tape import Parameter, Tape, UnsupportedError

_log = logging.getLogger(__name__)

# The shape of a batch, whether it is trained on, and which parameters learn from it
_Key = tuple[tuple[int, ...], bool, frozenset[Parameter]]

_KEPT_SHAPES = 4  # whose memory is kept: training, evaluation, and a last, smaller batch of each
_TOLERANCE = 1e-3  # of the largest logit
_PIXELS_AT_ONCE = 8 * 224 * 224


def accelerate(model: nn.Layer) -> "Accelerated":
    """Return a function that computes what `model` computes, only faster where that is possible.

    It uses as many threads as Paddle was told to (`FLAGS_paddle_num_threads`).

    Args:
        model: a network from images (N, C, H, W) to logits. Its layers must not be exchanged afterwards, and
            what its `forward` does must depend on nothing but the images, and on the mode only by its layers.
    """
    return Accelerated(model)


def describe() -> str:
    """Say what computes networks on this processor: oneDNN, or Paddle and why."""
    try:
        return f"oneDNN {'.'.join(map(str, _library().version))}, which is inside Paddle's wheel"
    except (UnsupportedError, OneDNNError, OSError) as obstacle:
        return f"Paddle itself ({obstacle})"


class Accelerated:
    """A network and the steps bound to it; see `accelerate`.

    Attributes:
        obstacle: why Paddle has to compute everything; None if it does not, or as long as nothing was tried.
    """

    def __init__(self, model: nn.Layer) -> None:
        self.obstacle: str | None = None
        self._model = model
        self._layers = [model, *model.sublayers()]
        self._tapes: dict[tuple[int, ...], Tape] = {}  # by the (C, H, W) of the images
        self._idle: OrderedDict[_Key, list[Step]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, C, H, W)."""
        fast = self._fast(images)
        return self._model(images) if fast is None else fast[0].linear(fast[1])

    def see(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return what the last linear layer is given, and the logits; see `models.transfer.see`."""
        fast = self._fast(images)
        if fast is None:
            return see(self._model, images)
        tape, features = fast
        return [features], tape.linear(features)

    def _fast(self, images: Tensor) -> tuple[Tape, Tensor] | None:
        """Return the tape and what its linear layer is given; None where the model itself has to compute."""
        if self.obstacle is not None or not self._suits(images):
            return None
        try:
            tape = self._tapes.get(tuple(images.shape[1:])) or self._checked_tape(images)
            if not tape.fits():
                return None
            learning = tape.learning() if paddle.is_grad_enabled() else frozenset()
            if learning and not self._model.training:
                return None
            step = self._take(tape, tuple(images.shape), self._model.training, learning)
        except (UnsupportedError, OneDNNError, OSError) as error:
            self.obstacle = str(error)
            _log.info("computing at Paddle's own speed: %s", error)
            return None
        if learning:
            features = _Pass.apply(self, step, images, *tape.parameter_values())
        else:
            features = self.forward(step, images)
            self.give_back(step)
        return tape, features

    def _suits(self, images: Tensor) -> bool:
        """Whether this batch, in the state the model is in now, can go the fast way."""
        training = self._model.training
        return (
            paddle.in_dynamic_mode()
            and images.place.is_cpu_place()
            and images.dtype == paddle.float32
            and images.ndim == 4
            and images.stop_gradient
            and all(
                layer.training == training and not layer._forward_pre_hooks and not layer._forward_post_hooks
                for layer in self._layers
            )
        )

    def _checked_tape(self, images: Tensor) -> Tape:
        """Record the network and compare what it says of two photos with what Paddle says."""
        library, tape = _library(), record(self._model, images.shape[1:])
        if not tape.fits():
            raise UnsupportedError("parameters that are not float32 on the processor")
        two = images[:2].contiguous()
        step = self._new_step(library, tape, two.shape, training=False)
        training = self._model.training
        self._model.eval()
        try:
            with paddle.no_grad():
                theirs = self._model(two).numpy()
                ours = tape.linear(self.forward(step, two)).numpy()
        finally:
            if training:
                self._model.train()
        scale = np.abs(theirs).max()
        if not np.abs(ours - theirs).max() <= _TOLERANCE * scale:
            raise UnsupportedError("this network's results differ from Paddle's")
        self._tapes[tuple(images.shape[1:])] = tape
        return tape

    def _take(
        self, tape: Tape, shape: tuple[int, ...], training: bool, learning: frozenset[Parameter]
    ) -> Step:
        """Return an idle step for this shape, or a new one."""
        if not training:  # no image depends on another
            shape = (_images_at_once(shape), *shape[1:])
        key = (shape, training, learning)
        with self._lock:
            idle = self._idle.setdefault(key, [])
            self._idle.move_to_end(key)
            while len(self._idle) > _KEPT_SHAPES:
                self._idle.popitem(last=False)
            if idle:
                return idle.pop()
        return self._new_step(_library(), tape, shape, training=training, learning=learning)

    def _new_step(
        self,
        library: Library,
        tape: Tape,
        shape: Sequence[int],
        *,
        training: bool,
        learning: frozenset[Parameter] = frozenset(),
    ) -> Step:
        """Build a step; oneDNN writes its machine code for the number of threads it finds then."""
        with _openmp_threads():
            return Step(library, tape, OPERATIONS, shape, training=training, learning=learning)

    def give_back(self, step: Step) -> None:
        """Keep a step, and with it its memory, for the next batch of this shape."""
        with self._lock:
            idle = self._idle.get((step.image_shape, step.training, step.learning))
            if idle is not None:
                idle.append(step)

    def forward(self, step: Step, images: Tensor) -> Tensor:
        """Run a step forward with all threads."""
        with _openmp_threads():
            return step.forward(images.contiguous())

    def backward(self, step: Step, gradient: Tensor) -> list[Tensor | None]:
        """Run a step backward with all threads."""
        with _openmp_threads():
            return step.backward(gradient)


class _Pass(PyLayer):
    """The whole network as one operation of Paddle's autograd."""

    @staticmethod
    def forward(ctx: Any, network: Accelerated, step: Step, images: Tensor, *parameters: Tensor) -> Tensor:
        ctx.network, ctx.step = network, step
        return network.forward(step, images)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.network.backward(ctx.step, gradient)
        ctx.network.give_back(ctx.step)
        ctx.step = None  # a second time ends in Paddle, which allows a PyLayer to go back only once
        return (None, *gradients)


def _images_at_once(shape: Sequence[int]) -> int:
    """Return how many images evaluation computes together: what lies between layers shall stay in caches."""
    count, _, height, width = shape
    most = max(1, _PIXELS_AT_ONCE // (height * width))
    passes = -(-count // most)
    return -(-count // passes)


@cache
def _library() -> Library:
    """Return the oneDNN inside Paddle's wheel."""
    path = _libraries() / "libdnnl.so.3"
    if platform.system() != "Linux" or platform.machine() != "x86_64" or not path.exists():
        raise UnsupportedError(f"oneDNN comes with Paddle for x86-64 Linux; there is no {path}")
    return Library(path)


def _libraries() -> Path:
    return Path(paddle.__file__).parent / "libs"


@contextmanager
def _openmp_threads() -> Iterator[None]:
    """Let OpenMP use the threads Paddle was given; Paddle's own layers leave it at one."""
    count = paddle.get_flags("FLAGS_paddle_num_threads")["FLAGS_paddle_num_threads"]
    before = [runtime.omp_get_max_threads() for runtime in _openmp()]
    for runtime in _openmp():
        runtime.omp_set_num_threads(count)
    try:
        yield
    finally:
        for runtime, threads in zip(_openmp(), before, strict=True):
            runtime.omp_set_num_threads(threads)


@cache
def _openmp() -> list[ctypes.CDLL]:
    """Return the OpenMP runtimes in this process: libdnnl is linked to GNU's, but finds Intel's first."""
    return [ctypes.CDLL(path) for path in (str(_libraries() / "libiomp5.so"), "libgomp.so.1")]
