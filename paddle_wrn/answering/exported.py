"""An exported network, ready to use: what `paddle_wrn.export` wrote, or somebody who was given it.

An exported folder holds a network and `contract.json`, which says all that is needed to ask it. Every key is
described in docs/export.md.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import put_weights
from paddle_wrn.photos.preprocessing import Preprocessing

CONTRACT = "contract.json"
FORMAT_VERSION = 1
NETWORK = "network"  # what its files are called, before the suffix

Format = Literal["paddle", "onnx", "pdparams"]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (N, 3, S, S) -> logits (N, classes)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Resize(_Part):
    """How a photo becomes a square: what `preprocessing.resize_and_pad` does, for other programs."""

    filter: Literal["bicubic"] = "bicubic"
    rounding: Literal["down, at least 1 pixel"] = "down, at least 1 pixel"
    position: Literal["centre"] = "centre"
    padding: Literal["black"] = "black"
    draft: Literal["never below twice the size in the square"] = "never below twice the size in the square"


class Tensor(_Part):
    """What the network takes or gives; null: any number of photos."""

    meaning: str
    shape: tuple[int | None, ...]
    dtype: Literal["float32"] = "float32"


class NamedNetwork(_Part):
    """A network by its name in `paddle_wrn.models`, and its options there."""

    name: str
    options: dict[str, Any]


class Check(_Part):
    """How far the exported network's answers are from the network's own."""

    pictures: str
    largest_difference: float
    """of probabilities"""
    largest_logit_difference: float
    """as a share of the largest logit, or of 1"""


class Int8(_Part):
    """What quantisation to 8 bits did."""

    calibrated_on: int
    """training photos"""
    validation_photos: int
    accuracy_before: float
    accuracy_after: float
    largest_difference: float
    """of probabilities, on the validation photos"""
    bytes_before: int
    bytes_after: int


class Contract(_Part):
    """What `contract.json` holds."""

    format_version: int = FORMAT_VERSION
    format: Format
    files: dict[str, str]
    input: Tensor
    output: Tensor
    preprocessing: Preprocessing
    resize: Resize = Resize()
    calibration: Calibration
    model: NamedNetwork
    check: Check | None = None
    int8: Int8 | None = None
    versions: dict[str, str]

    @model_validator(mode="after")
    def _files_lie_in_the_folder(self) -> "Contract":
        strange = [name for name in self.files if Path(name).name != name]
        if strange:
            raise ValueError(f"{strange[0]!r} is not the name of a file in this folder")
        return self

    def to_json(self) -> str:
        """Return the text of `contract.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


class Program(nn.Layer):
    """A network that answers and has no layers to look into.

    Shape: (N, 3, size, size) -> logits (N, classes).
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the logits."""
        return paddle.to_tensor(self._run(images.numpy()))


def load_exported(folder: Path) -> tuple[nn.Layer, Contract]:
    """Load the network of an exported folder with its contract; programs run on the processor.

    Raises:
        UserError: the folder is incomplete or was altered, or the package that runs it is missing.
    """
    contract = read_contract(folder)
    for name, digest in contract.files.items():  # a damaged program may end the process that loads it
        if digest != sha256(folder / name):
            raise UserError(f"{folder / name}: the file is not the one that was exported; use another copy")
    load = {"paddle": _paddle_program, "onnx": _onnx_program, "pdparams": _weights}[contract.format]
    try:
        model = load(folder, contract)
    except UserError:
        raise
    except Exception as error:  # the runtimes fail in any way
        raise UserError(
            f"{folder}: the network cannot be loaded ({last_line(error)}); export it again"
        ) from None
    model.eval()
    return model, contract


def read_contract(folder: Path) -> Contract:
    """Read and check `contract.json`.

    Raises:
        UserError: it is missing, damaged or of another version.
    """
    file = folder / CONTRACT
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content.get("format_version")
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; give a folder that paddle_wrn.export wrote") from None
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file}: not what paddle_wrn.export wrote ({error}); use another copy") from None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{file}: has format version {version!r}, this version of paddle_wrn reads {FORMAT_VERSION}; "
            "export the network again"
        )
    try:
        return Contract.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the contract"
        raise UserError(f"{file}: {where}: {first['msg'].lower()}; use another copy") from None


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file of an exported folder.

    Raises:
        UserError: it is missing.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise UserError(f"{file}: no such file, but {CONTRACT} names it; use another copy") from None


def last_line(error: Exception) -> str:
    """Return the last line of what an error of somebody else's program says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip().rstrip(".")


def _paddle_program(folder: Path, contract: Contract) -> nn.Layer:
    (program,) = (name for name in contract.files if name.endswith((".json", ".pdmodel")))
    if program.endswith(".json") and paddle.__version__.startswith("2."):  # it would end this process
        raise UserError(
            f"{folder / program}: a program of PaddlePaddle {contract.versions.get('paddle', '3')}, which "
            f"PaddlePaddle {paddle.__version__} cannot run; export it with --format onnx or pdparams"
        )
    config = paddle.inference.Config(str(folder / program), str(folder / f"{NETWORK}.pdiparams"))
    config.disable_glog_info()
    config.disable_gpu()
    config.disable_mkldnn()  # oneDNN's fused programs crash on some networks
    config.set_cpu_math_library_num_threads(_threads())
    predictor = paddle.inference.create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    result = predictor.get_output_handle(predictor.get_output_names()[0])
    lock = threading.Lock()

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with lock:
            source.copy_from_cpu(np.ascontiguousarray(images))
            predictor.run()
            return result.copy_to_cpu()

    return Program(run)


def _onnx_program(folder: Path, contract: Contract) -> nn.Layer:
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            f"{folder}: an ONNX network needs onnxruntime, which is not installed; install it with: "
            "pip install '.[onnx]'"
        ) from None
    onnxruntime.set_default_logger_severity(3)  # errors; it warns of graphics cards that are not there
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    (file,) = contract.files
    session = onnxruntime.InferenceSession(folder / file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Program(lambda images: session.run(None, {name: images})[0])


def _weights(folder: Path, contract: Contract) -> nn.Layer:
    (file,) = contract.files
    model = create_model(contract.model.name, len(contract.preprocessing.classes), **contract.model.options)
    put_weights(model, read_weights(folder / file), folder / file)
    return model


def _threads() -> int:
    return int(paddle.get_flags("FLAGS_paddle_num_threads")["FLAGS_paddle_num_threads"])
