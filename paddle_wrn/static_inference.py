"""A trained network as a compiled program, which a processor runs faster than the network itself.

Paddle traces the network once into a program whose layers oneDNN fuses and computes; its answers differ from
those of the network itself only by rounding. That costs a second or so, hence it pays only for many photos,
and only for weights that stay as they are.
"""

import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.console import log

Forward = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (N, 3, S, S) -> logits (N, classes)

BREAK_EVEN = 256  # photos; compiling paid off after 24 to 338 on Paddle 2.6, later under load
BATCH_SIZE = 32  # photos; in larger batches the activations no longer fit into the processor's caches
CHECKED = 2  # photos on which program and network are compared
TOLERANCE = 1e-4  # of the largest logit, or of 1

# All that the program of a network may consist of, as Paddle 3 calls it and, where that differs, Paddle 2. It
# is a list of what was tested, since mistakes there end the process: `pad` and a fused `leaky_relu` do.
# fmt: off
_OPERATIONS = frozenset((
    "add", "batch_norm", "combine", "concat", "conv2d", "data", "dropout", "flatten", "full",
    "full_int_array", "gelu", "matmul", "parameter", "pool2d", "relu", "reshape", "shape64", "slice", "tanh",
    "elementwise_add", "flatten_contiguous_range", "matmul_v2", "reshape2", "shape",
))
# fmt: on


class Compiler:
    """Compiles a network as soon as that is worth its while.

    Args:
        model: a network in evaluation mode, whose weights do not change any more.
        size: side of its images, pixels.
    """

    def __init__(self, model: nn.Layer, size: int) -> None:
        self._model, self._size = model, size
        self._photos = 0  # asked for so far
        self._compiled: Forward | None = None
        self._tried = False
        self._lock = threading.Lock()

    def forward(self, photos: int) -> Forward | None:
        """Return the compiled network, or None if the network itself is to be run.

        That is so before `BREAK_EVEN` photos in all, on a graphics card, and if compiling fails.

        Args:
            photos: how many there are to be run now.
        """
        if paddle.get_device() != "cpu":
            return None
        with self._lock:
            self._photos += photos
            if not self._tried and self._photos >= BREAK_EVEN:
                self._tried = True
                try:
                    self._compiled = compile_network(self._model, self._size)
                except Exception as error:  # whatever is wrong with somebody's network or Paddle
                    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
                    log.info("evaluation runs without compiling the network: %s", reason)
            return self._compiled


def compile_network(model: nn.Layer, size: int) -> Forward:
    """Return a network as a compiled program for the processor; the network stays as it is.

    Args:
        model: in evaluation mode.
        size: side of its images, pixels.

    Returns:
        A function of any number of normalised images; threads take turns in it.

    Raises:
        RuntimeError: it consists of more than was tested, Paddle lacks oneDNN, or the answers differ.
        Exception: it cannot be traced, or Paddle cannot run it.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = _turn_by_turn(_load(*_save(model, size, Path(folder))))
    _compare(model, run, size)
    return run


def _save(model: nn.Layer, size: int, folder: Path) -> tuple[Path, Path]:
    """Write program and weights; only this user can enter a temporary folder."""
    images = paddle.static.InputSpec([None, 3, size, size], "float32")
    traced = paddle.jit.to_static(model.forward, input_spec=[images], full_graph=True)
    strange = _operations(traced.concrete_program.main_program) - _OPERATIONS
    if strange:
        raise RuntimeError(f"not tested with {', '.join(sorted(strange))}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the files are named after a function
        paddle.jit.save(traced, str(folder / "network"))
    weights = folder / "network.pdiparams"
    (program,) = (file for file in folder.iterdir() if file.suffix in (".json", ".pdmodel"))
    return program, weights


def _operations(program: Any) -> set[str]:
    """Return the names of the operations of a program, without prefix or the `_` of those in place."""
    operations = program.global_block().ops  # a condition or a loop is one of them
    names = (op.type if hasattr(op, "type") else op.name() for op in operations)  # Paddle 2, 3
    return {name.rpartition(".")[2].rstrip("_") for name in names}


def _load(program: Path, weights: Path) -> Any:
    """Return Paddle's predictor; the files are no longer needed then."""
    config = paddle.inference.Config(str(program), str(weights))
    config.disable_glog_info()
    config.disable_gpu()
    config.enable_mkldnn()  # as oneDNN was called; both names work
    if not config.mkldnn_enabled():  # without it a program is slower than the network
        raise RuntimeError("this PaddlePaddle has no oneDNN")
    config.set_cpu_math_library_num_threads(
        paddle.get_flags("FLAGS_paddle_num_threads")["FLAGS_paddle_num_threads"]
    )
    return paddle.inference.create_predictor(config)


def _turn_by_turn(predictor: Any) -> Forward:
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    result = predictor.get_output_handle(predictor.get_output_names()[0])
    lock = threading.Lock()

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = []
        with lock:
            for start in range(0, len(images), BATCH_SIZE):
                source.copy_from_cpu(np.ascontiguousarray(images[start : start + BATCH_SIZE]))
                predictor.run()
                logits.append(result.copy_to_cpu())
        return np.concatenate(logits)

    return run


def _compare(model: nn.Layer, run: Forward, size: int) -> None:
    """Raise `RuntimeError` unless program and network say the same of noise."""
    noise = np.random.default_rng(0).standard_normal((CHECKED, 3, size, size), np.float32)
    with paddle.no_grad():
        expected = model(paddle.to_tensor(noise)).numpy()
    difference = np.abs(run(noise) - expected).max()
    if not difference <= TOLERANCE * max(1.0, np.abs(expected).max()):
        raise RuntimeError(f"the compiled network's answers differ by {difference:.1g}")
