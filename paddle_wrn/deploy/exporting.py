"""Exporting a trained network for other programs: a Paddle program, an ONNX file or weights, with a contract.

What was written is loaded again and compared with the network on photos before the folder gets its place.
"""

import shutil
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn import deploy as exporting
from paddle_wrn.answering.classifier import Classifier, find_checkpoint, load_classifier
from paddle_wrn.answering.exported import (
    CONTRACT,
    NETWORK,
    Check,
    Contract,
    Format,
    Int8,
    NamedNetwork,
    Tensor,
    last_line,
    sha256,
)
from paddle_wrn.answering.run_photos import find_list, load_run_photos
from paddle_wrn.deploy import onnx_file
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import PhotoList
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.scoring.metrics import accuracy
from paddle_wrn.system.device import select_device
from paddle_wrn.system.files import new_folder, write_text
from paddle_wrn.system.versions import versions

FORMATS: tuple[Format, ...] = get_args(Format)
EXAMPLE = "example.py"
TOLERANCE = 1e-4  # between probabilities, and between logits as a share of the largest
COMPARED = 64  # photos both networks are asked about
NOISE = 16  # drawn pictures, where there are no photos
MEASURED = 200  # training photos from whose activations 8-bit scales are taken


def export(
    run: Path | str,
    output: Path | str,
    format: str = "paddle",
    *,
    int8: bool = False,
    opset: int | None = None,
    data: Path | str | None = None,
) -> Contract:
    """Write the trained network of a run as a folder that other programs can use.

    Args:
        run: run folder, or a `best.safetensors` file.
        output: folder to make.
        format: `paddle` (a program for `paddle.inference`), `onnx`, or `pdparams` (weights alone).
        int8: quantise the ONNX network to 8 bits; this needs the run's training and validation photos.
        opset: version of ONNX's operators; None: 17.
        data: folder that `split_data` wrote; by default the one the run was trained on.

    Returns:
        What `contract.json` holds.

    Raises:
        UserError: no such run or an unfinished one, no such format, its packages are missing, the output
            exists, the network cannot be converted, or the exported network answers differently.
    """
    run, output = Path(run), Path(output)
    _check_request(run, format, int8, opset)
    select_device("cpu")
    loaded = load_classifier(run)
    # Computed by Paddle's own kernels: what everything else is measured by.
    itself = Classifier(loaded.model, loaded.preprocessing, calibration=loaded.calibration)
    with new_folder(output) as folder:
        pictures, what = _pictures(run, itself.preprocessing, data, needed=int8)
        _write_network(itself, folder, format, onnx_file.OPSET if opset is None else opset)
        shutil.copyfile(Path(exporting.__path__[0], EXAMPLE), folder / EXAMPLE)
        contract = _sealed(_contract(run, itself, format), folder)
        apart, logits_apart = _compare(itself, load_classifier(folder), pictures)
        if not (apart <= TOLERANCE and logits_apart <= TOLERANCE):  # nor if one is NaN
            raise UserError(
                f"{output}: not written, because the exported network's probabilities differ by {apart:.1e} "
                f"(logits by {logits_apart:.1e} of the largest) on {what}, and {TOLERANCE:g} is allowed; "
                "try another --format"
            )
        check = Check(pictures=what, largest_difference=apart, largest_logit_difference=logits_apart)
        contract = _sealed(contract.model_copy(update={"check": check}), folder)
        if int8:
            contract = _quantised(contract, folder, run, data)
    return contract


def _check_request(run: Path, format: str, int8: bool, opset: int | None) -> None:
    if format not in FORMATS:
        raise UserError(f"format: found {format!r}; choose {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if (int8 or opset is not None) and format != "onnx":
        raise UserError(f"{'--int8' if int8 else '--opset'}: is for ONNX files only; add --format onnx")
    if int8 and opset is not None and opset < onnx_file.INT8_OPSET:
        raise UserError(f"opset: found {opset}; --int8 needs {onnx_file.INT8_OPSET} or more")
    if (run / CONTRACT).is_file():
        raise UserError(f"{run}: is an exported network already; give the run folder it came from")
    folder = RunFolder(run)
    folder.refuse_unfinished(f"or give {folder.best} to export the best so far")
    if format == "onnx":
        onnx_file.check_packages()


def _write_network(classifier: Classifier, folder: Path, format: str, opset: int) -> None:
    if format == "pdparams":
        paddle.save(classifier.model.state_dict(), str(folder / f"{NETWORK}.pdparams"))
        return
    program, weights = _write_program(classifier.model, classifier.preprocessing.size, folder)
    if format == "onnx":
        onnx_file.convert(program, weights, folder / f"{NETWORK}.onnx", opset)
        program.unlink()
        weights.unlink()


def _write_program(model: nn.Layer, size: int, folder: Path) -> tuple[Path, Path]:
    """Trace a network in evaluation mode; return the files of the program and of its weights."""
    images = paddle.static.InputSpec([None, 3, size, size], "float32", name="images")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Paddle's, of its own ways
            paddle.jit.save(model, str(folder / NETWORK), input_spec=[images])
    except UserError:
        raise
    except Exception as error:  # whatever is wrong with somebody's network
        raise UserError(f"{type(model).__name__}: cannot be traced into a program ({last_line(error)}); "
                        "export it with --format pdparams") from None  # fmt: skip
    (folder / f"{NETWORK}.pdiparams.info").unlink(missing_ok=True)  # Paddle 2 notes there what it alone reads
    (program,) = (file for file in folder.iterdir() if file.suffix in (".json", ".pdmodel"))
    return program, folder / f"{NETWORK}.pdiparams"


def _contract(run: Path, classifier: Classifier, format: str) -> Contract:
    contract = classifier.preprocessing
    size, classes = contract.size, len(contract.classes)
    packages = onnx_file.PACKAGES if format == "onnx" else ()
    return Contract(
        format=format,
        files={},
        input=Tensor(meaning="normalised photos: N, RGB, height, width", shape=(None, 3, size, size)),
        output=Tensor(meaning="logits: N, classes", shape=(None, classes)),
        preprocessing=contract,
        calibration=classifier.calibration,
        model=NamedNetwork.model_validate(load_checkpoint(find_checkpoint(run), "model")[1]["model"]),
        versions=versions() | {name: version(name) for name in packages},
    )


def _sealed(contract: Contract, folder: Path) -> Contract:
    """Note the digests of the network's files in the contract, and write it."""
    files = sorted(folder.glob(f"{NETWORK}.*"), key=lambda file: file.suffix == ".pdiparams")
    contract = contract.model_copy(update={"files": {file.name: sha256(file) for file in files}})
    write_text(folder / CONTRACT, contract.to_json())
    return contract


def _pictures(
    run: Path, contract: Preprocessing, data: Path | str | None, needed: bool
) -> tuple[NDArray[np.uint8], str]:
    """Return validation photos, or noise where there are none; and what they are."""
    try:
        photos = load_run_photos(run, contract, _some(find_list(run, contract, data, "val"), COMPARED))
        return photos.images, f"{len(photos)} validation photos"
    except UserError:
        if needed or data is not None:
            raise
    noise = np.random.default_rng(0).integers(0, 256, (NOISE, contract.size, contract.size, 3), np.uint8)
    return noise, f"{NOISE} pictures of drawn noise (the validation photos are not there)"


def _some(photo_list: PhotoList, count: int) -> PhotoList:
    """Return at most so many photos of a list, evenly spread over it."""
    return photo_list.part(np.unique(np.linspace(0, len(photo_list) - 1, count).round().astype(int)).tolist())


def _compare(expected: Classifier, found: Classifier, images: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the largest difference of probabilities, and of logits as a share of the largest logit, or of 1.

    Where all is certain, probabilities hide a difference that logits show.
    """
    logits, others = expected.logits(images), found.logits(images)
    probabilities = expected.calibration.probabilities
    apart = float(np.abs(probabilities(others) - probabilities(logits)).max())
    return apart, float(np.abs(others - logits).max()) / max(1.0, float(np.abs(logits).max()))


def _quantised(contract: Contract, folder: Path, run: Path, data: Path | str | None) -> Contract:
    """Quantise the ONNX file, and note what that did to answers and size."""
    input_ = contract.preprocessing
    measured = load_run_photos(run, input_, _some(find_list(run, input_, data, "train"), MEASURED))
    photos = load_run_photos(run, input_, find_list(run, input_, data, "val"))
    file = folder / f"{NETWORK}.onnx"
    size, before = file.stat().st_size, load_classifier(folder).probabilities(photos.images)
    onnx_file.quantise(file, input_.normalise(measured.images))
    contract = _sealed(contract, folder)
    after = load_classifier(folder).probabilities(photos.images)
    int8 = Int8(
        calibrated_on=len(measured),
        validation_photos=len(photos),
        accuracy_before=accuracy(before, photos.labels),
        accuracy_after=accuracy(after, photos.labels),
        largest_difference=float(np.abs(after - before).max()),
        bytes_before=size,
        bytes_after=file.stat().st_size,
    )
    return _sealed(contract.model_copy(update={"int8": int8}), folder)
