"""Files of weights -> arrays: safetensors, and Paddle's `.pdparams`, of which only arrays are admitted."""

from pathlib import Path

import numpy as np
import safetensors

from paddle_wrn.errors import UserError
from paddle_wrn.models.safe_pickle import load_arrays_pickle
from paddle_wrn.models.weights import Arrays


def read_weights(path: Path | str) -> Arrays:
    """Read weights from anywhere: safetensors, or Paddle's `.pdparams`, of which only arrays are admitted.

    Raises:
        UserError: the file is missing, damaged, holds something other than arrays or wants to run code.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0]
    if path.suffix == ".pdparams":
        return _read_pdparams(path)
    raise UserError(f"{path}: found the suffix {path.suffix!r}; weights are .safetensors or .pdparams files")


def read_safetensors(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays and the texts of the header of a safetensors file.

    Raises:
        UserError: the file is missing, cut short or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); check the path") from None
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise UserError(f"{path}: the file is damaged or cut short ({error}); use another copy") from None


def _read_pdparams(path: Path) -> Arrays:
    try:
        with path.open("rb") as file:
            content = load_arrays_pickle(file, path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); check the path") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: found a {type(content).__name__}; a dictionary of arrays is needed")
    arrays = {}
    for name, value in content.items():
        if name == "StructuredToParameterName@@":  # Paddle's own note about its names
            continue
        if isinstance(value, tuple) and len(value) == 2:  # (name, array), as Paddle writes single tensors
            value = value[1]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise UserError(f"{path}: {name} is no array of numbers; weights hold arrays only")
        arrays[str(name)] = value
    return arrays
