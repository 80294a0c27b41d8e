"""Weights from files that anybody may have written: arrays by name, and nothing that runs.

Read are `.safetensors`, Paddle's `.pdparams` and PyTorch's `.pth` and `.pt`.
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors

from paddle_wrn.errors import UserError, shown
from paddle_wrn.models.pickles import load_arrays_pickle
from paddle_wrn.models.pytorch_files import read_pytorch
from paddle_wrn.models.weights import Arrays

MAX_BYTES = 600_000_000  # of a file; a WRN-101-2 for ImageNet has 508 million
MAX_HEADER = 5_000_000  # bytes of names, shapes and texts in a safetensors file

_PADDLES_NOTE = "StructuredToParameterName@@"  # about its own names


def read_weights(path: Path | str) -> Arrays:
    """Read the arrays of a file of weights. Those of `.pdparams` and `.pth` files cannot be written to.

    Raises:
        UserError: the file is missing, damaged or too large, holds something other than arrays, or wants to
            run code.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0]
    if path.suffix not in (".pdparams", ".pth", ".pt"):
        raise UserError(
            f"{path}: found the suffix {shown(path.suffix)!r}; "
            "weights are .safetensors, .pdparams, .pth or .pt files"
        )
    with _opened(path) as file:
        return _read_pdparams(file, path) if path.suffix == ".pdparams" else read_pytorch(file, path)


def read_safetensors(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Read the arrays of a safetensors file, and the texts in its header.

    Raises:
        UserError: the file is missing, damaged or too large, or has a number type that NumPy lacks.
    """
    with _opened(path) as file:
        header = int.from_bytes(file.read(8), "little")
        if header > MAX_HEADER:
            raise UserError(
                f"{path}: the file is damaged or no safetensors file (a header of {header:,} bytes); "
                "use another copy"
            )
        try:
            with safetensors.safe_open(path, framework="np") as content:
                names = content.keys()
                arrays = {name: content.get_tensor(name) for name in names}
                strange = [array.dtype for array in arrays.values() if array.dtype.kind not in "fiub"]
                if strange:  # as bfloat16, where a package has taught NumPy that
                    raise TypeError(str(strange[0]))
                return arrays, content.metadata() or {}
        except (safetensors.SafetensorError, ValueError) as error:
            raise UserError(
                f"{path}: the file is damaged or cut short ({shown(str(error), 150)}); use another copy"
            ) from None
        except (TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: has numbers of a type that NumPy lacks ({shown(str(error))}); save them as float32"
            ) from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file: opening a pipe would wait, and a device may never end."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path}: a folder, pipe or device; weights are read from files")
        if found.st_size > MAX_BYTES:
            raise UserError(f"{path}: {found.st_size:,} bytes; files of weights may have {MAX_BYTES:,}")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason}); check the path") from None
    except MemoryError:
        raise UserError(f"{path}: the weights do not fit into memory; close other programs") from None


def _read_pdparams(file: BinaryIO, path: Path) -> Arrays:
    content = load_arrays_pickle(file, path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: found a {type(content).__name__}; a dictionary of arrays is needed")
    arrays = {}
    for name, value in content.items():
        if name == _PADDLES_NOTE:
            continue
        if isinstance(value, tuple) and len(value) == 2:  # (name, array), as Paddle writes single tensors
            value = value[1]
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise UserError(f"{path}: {shown(name)} is no array of numbers; weights hold arrays only")
        arrays[name] = value
    return arrays
