"""Saving and loading, atomically and without running anybody's code.

A checkpoint is one safetensors file: arrays, and a JSON record in its header. Two kinds exist: a `model`
(weights and preprocessing contract: all that is needed to use a network) and a `training` state (all that
is needed to continue).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.errors import UserError
from paddle_wrn.files import write_atomically
from paddle_wrn.safe_pickle import load_arrays_pickle

Arrays = dict[str, NDArray[Any]]

FORMAT = 1
_RECORD = "paddle_wrn"  # one header entry: several would be written in random order


def save_checkpoint(path: Path, arrays: Arrays, record: Mapping[str, Any]) -> None:
    """Write arrays and a JSON-able record as one safetensors file; same content, same bytes."""
    full_record = {"format": FORMAT, **record}
    full_record["sha256"] = _digest(arrays, full_record)
    header = {_RECORD: _to_json(full_record)}
    content = safetensors.numpy.save(arrays, metadata=header)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def load_checkpoint(path: Path, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Read what `save_checkpoint` wrote.

    Args:
        path: the file.
        kind: the record's `kind` that is expected, `model` or `training`.

    Raises:
        UserError: the file is missing, cut short, altered, of another kind or of a newer format.
    """
    arrays, header = _read_safetensors(path)
    try:
        record = dict(json.loads(header[_RECORD]))
    except (KeyError, ValueError, TypeError):
        raise UserError(f"{path}: was not written by paddle_wrn; a checkpoint of a run is needed") from None
    if record.get("format") != FORMAT:
        raise UserError(
            f"{path}: has checkpoint format {record.get('format')}, this version reads {FORMAT}; "
            "use the version of paddle_wrn that wrote it"
        )
    if record.get("kind") != kind:
        raise UserError(f"{path}: found a {record.get('kind')!r} checkpoint; a {kind!r} checkpoint is needed")
    if record.pop("sha256", None) != _digest(arrays, record):
        raise UserError(f"{path}: the checkpoint is damaged (its checksum does not match); use another copy")
    return arrays, record


def read_weights(path: Path | str) -> Arrays:
    """Read weights from anywhere: safetensors, or Paddle's `.pdparams`, of which only arrays are admitted.

    Raises:
        UserError: the file is missing, damaged, holds something other than arrays or wants to run code.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)[0]
    if path.suffix == ".pdparams":
        return _read_pdparams(path)
    raise UserError(f"{path}: found the suffix {path.suffix!r}; weights are .safetensors or .pdparams files")


def weights_of(model: nn.Layer) -> Arrays:
    """Return the parameters and running statistics of a network as arrays."""
    return {name: np.ascontiguousarray(value.numpy()) for name, value in model.state_dict().items()}


def put_weights(model: nn.Layer, arrays: Arrays, source: Path | str) -> None:
    """Load arrays into a network that has exactly these names and shapes.

    Raises:
        UserError: names or shapes differ; the first of them are given.
    """
    state = model.state_dict()
    expected = {name: tuple(value.shape) for name, value in state.items()}
    found = {name: tuple(value.shape) for name, value in arrays.items()}
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not in the network" for name in found if name not in expected]
    problems += [
        f"{name} is {found[name]} instead of {expected[name]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    problems += [
        f"{name} holds bfloat16, save it as float32 first"  # which Paddle writes as the bits, in uint16
        for name in expected
        if name in found and arrays[name].dtype == np.uint16
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(f"{source}: weights of another network: {', '.join(problems[:3])}{more}")
    dtypes = {name: value.numpy().dtype for name, value in state.items()}  # float64 becomes float32
    model.set_state_dict({name: paddle.to_tensor(arrays[name].astype(dtypes[name])) for name in state})


def _to_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True)


def _digest(arrays: Arrays, record: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(_to_json(record).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> tuple[Arrays, dict[str, str]]:
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
