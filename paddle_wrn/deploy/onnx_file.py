"""A Paddle program -> an ONNX file, and its quantisation to 8 bits.

The converter ends its process when it does not know what to do, so it is given one of its own.
"""

import importlib.util
import logging
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray

from paddle_wrn.errors import UserError

PACKAGES = ("paddle2onnx", "onnx", "onnxruntime", "ml_dtypes")  # of the extra `onnx`
OPSET = 17  # of ONNX's operators; read by ONNX Runtime since 1.12, of 2022
INT8_OPSET = 13  # the least that has scales per channel

# The default optimisation of version 2 runs `pip install` for what it finds missing; version 1 has none. A
# higher opset than the one that was asked for must not be chosen silently.
_CONVERT = """
import inspect, sys, paddle2onnx
program, weights, file, opset = sys.argv[1:]
options = {"opset_version": int(opset), "auto_upgrade_opset": False, "verbose": False}
if "optimize_tool" in inspect.signature(paddle2onnx.export).parameters:
    options["optimize_tool"] = "none"
paddle2onnx.export(program, weights, file, **options)
"""

_MARKS = re.compile(r"(\[(ERROR|Paddle2ONNX)\]\s*)+")
_PROGRESS = ("Start parsing", "Use opset_version")


def check_packages() -> None:
    """Raise `UserError` unless everything that makes an ONNX file is installed, for this Paddle."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"format onnx: {name} is not installed; install what it needs with: pip install '.[onnx]'"
            )
    found, paddle_3 = version("paddle2onnx"), not paddle.__version__.startswith("2.")
    if found.startswith("1.") == paddle_3:
        raise UserError(
            f"format onnx: paddle2onnx {found} does not read programs of PaddlePaddle {paddle.__version__}; "
            f"install another with: pip install 'paddle2onnx {'>= 2.1' if paddle_3 else '< 2'}'"
        )


def convert(program: Path, weights: Path, file: Path, opset: int) -> None:
    """Write an ONNX file that computes what a Paddle program does.

    Raises:
        UserError: the converter refuses the network or the opset; its reason is given.
    """
    arguments = [str(program), str(weights), str(file), str(opset)]
    done = subprocess.run(
        [sys.executable, "-c", _CONVERT, *arguments], capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0 or not file.is_file():
        raise UserError(
            f"format onnx: the converter refused this network at opset {opset} ({_reason(done)}); "
            "try another --opset, or --format paddle"
        )
    _put_right(file, program)


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    """Return what the converter complained of, without its progress and its stack."""
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines()]
    complaints = [_MARKS.sub("", line).rstrip(".") for line in lines if _MARKS.match(line)]
    complaints = [text for text in complaints if text and not text.startswith(_PROGRESS)]
    return "; ".join(complaints) or next(filter(None, reversed(lines)), f"code {done.returncode}")


def _put_right(file: Path, program: Path) -> None:
    """Mend what the converter leaves: the output's name, unused constants, the slopes of leaky ReLUs.

    ONNX Runtime would warn of the constants. For slopes, paddle2onnx 2.1 writes what memory happens to hold.
    """
    import onnx

    model = onnx.load(file)
    graph = model.graph
    before = graph.output[0].name
    for names in (names for node in graph.node for names in (node.input, node.output)):
        names[:] = ["logits" if name == before else name for name in names]
    graph.output[0].name = "logits"
    used = {name for node in graph.node for name in node.input}
    for node in [node for node in graph.node if node.op_type == "Constant" and node.output[0] not in used]:
        graph.node.remove(node)
    if program.suffix == ".json":  # of Paddle 3
        leaky, slopes = [node for node in graph.node if node.op_type == "LeakyRelu"], _slopes(program)
        for node, slope in zip(leaky, slopes, strict=False):  # whoever loads the file compares its answers
            node.attribute[0].CopyFrom(onnx.helper.make_attribute("alpha", slope))
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _slopes(program: Path) -> list[float]:
    """Return the slopes of a program's leaky ReLUs, in its order, which the converter keeps."""
    loaded = paddle.jit.load(str(program.with_suffix(""))).program()  # its operations live as long as it does
    operations = loaded.global_block().ops
    return [op.attrs()["negative_slope"] for op in operations if op.name() == "pd_op.leaky_relu"]


def quantise(file: Path, images: NDArray[np.float32]) -> None:
    """Replace an ONNX file by one whose convolutions compute with 8-bit numbers.

    Weights get a scale per output channel, activations one per tensor, from what these images cause.

    Args:
        file: the network.
        images: (N, 3, S, S), normalised.
    """
    import onnxruntime
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.rest, None)
            return None if image is None else {name: image[None]}

    name = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).get_inputs()[0].name
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # its advice is for those who call it
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(file, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                file,
                Images(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,  # without it, processors without VNNI saturate
            )
    finally:
        logging.root.setLevel(level)
