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
import safetensors
import safetensors.numpy

from paddle_wrn.errors import UserError
from paddle_wrn.models.weight_files import read_safetensors
from paddle_wrn.models.weights import Arrays
from paddle_wrn.system.files import write_atomically

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
    arrays, header = read_safetensors(path)
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


def _to_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, sort_keys=True)


def _digest(arrays: Arrays, record: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(_to_json(record).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
