"""State dicts as PyTorch's `torch.save` writes them, read without PyTorch.

There are two formats. The old one is five pickles (a magic number, the version of the format, facts about the
machine, the content, the keys of the storages), then the storages. The new one is a zip archive, nothing
compressed: `<name>/data.pkl` is the content, `<name>/data/<key>` a storage. In both, a tensor is a view of a
storage: offset, shape and strides. Source: `torch/serialization.py` of PyTorch 2.13.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.errors import UserError, shown
from paddle_wrn.models.pickles.arrays import ARRAY_CALLS, load_arrays_pickle, shape_of
from paddle_wrn.models.pickles.machine import Call, Name, read_pickle
from paddle_wrn.models.pickles.opcodes import Damaged, Refused
from paddle_wrn.models.stored_zip import SIGNATURE, StoredZip
from paddle_wrn.models.weights import Arrays

MAX_SHARING = 2  # tensors may be this many times as large as their storages together

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_NESTED_UNDER = "state_dict", "model"
_BYTE_ORDERS = {b"little": "<", b"big": ">"}
_BFLOAT16 = "bfloat16"
_STORAGE_TYPES = {
    Name(module, f"{name}Storage"): dtype
    for module in ("torch", "torch.cuda")
    for name, dtype in {
        "Float": "f4",
        "Double": "f8",
        "Half": "f2",
        "BFloat16": _BFLOAT16,
        "Long": "i8",
        "Int": "i4",
        "Short": "i2",
        "Char": "i1",
        "Byte": "u1",
        "Bool": "?",
    }.items()
}


@dataclass(frozen=True)
class Storage:
    """Numbers in a row, of which tensors are views.

    Attributes:
        key: its name in the file.
        dtype: NumPy's letter and bytes, or bfloat16.
        count: of numbers.
    """

    key: str
    dtype: str
    count: int

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.count * (2 if self.dtype == _BFLOAT16 else np.dtype(self.dtype).itemsize)

    def numbers(self, content: bytes, byte_order: str = "<") -> NDArray[Any]:
        """Return the numbers of these bytes: shape (count,), in this machine's byte order."""
        if self.dtype == _BFLOAT16:  # the upper half of a float32
            halves = np.frombuffer(content, f"{byte_order}u2")
            return (halves.astype(np.uint32) << 16).view(np.float32)
        if self.dtype == "?":
            return np.frombuffer(content, np.uint8) != 0
        return np.frombuffer(content, byte_order + self.dtype).astype(self.dtype, copy=False)


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, inside of it.

    Attributes:
        storage: whose numbers it has.
        offset: of its first number.
        shape: as usual.
        strides: in numbers, 0 where there is one place only.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        count = math.prod(self.shape)
        if count > self.storage.count or (count and self.offset + last >= self.storage.count):
            raise Refused(f"a tensor reaches beyond the {self.storage.count:,} numbers of its storage")

    def of(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return the view of the storage's numbers, which cannot be written to."""
        if 0 in self.shape:
            return np.zeros(self.shape, numbers.dtype)
        strides = [stride * numbers.itemsize for stride in self.strides]
        offset = self.offset * numbers.itemsize
        view: NDArray[Any] = np.ndarray(self.shape, numbers.dtype, numbers, offset, strides)
        view.flags.writeable = False
        return view


class _Content:
    """The pickle of a file's content, and the storages it asks for on the way.

    Attributes:
        storages: by key.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.storages: dict[str, Storage] = {}
        self._path = path
        calls: dict[Name, Call | None] = {
            Name("torch._utils", "_rebuild_tensor"): _tensor,
            Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
            Name("torch._utils", "_rebuild_parameter"): lambda arguments: arguments[0],
            **dict.fromkeys(_STORAGE_TYPES, None),
        }
        self._value = read_pickle(file, path, {**ARRAY_CALLS, **calls}, self._storage)

    def _storage(self, identifier: tuple[Any, ...]) -> Storage:
        """Return the storage of ("storage", type, key, device, count), the old format adds a view: None."""
        kind, storage_type, key, _, count, *view = identifier
        if kind != "storage" or not isinstance(storage_type, Name) or storage_type not in _STORAGE_TYPES:
            raise Refused("it asks for something else than a storage of numbers")
        if not isinstance(key, str) or type(count) is not int or count < 0 or view not in ([], [None]):
            raise Damaged("a storage has no key or size")
        storage = Storage(key, _STORAGE_TYPES[storage_type], count)
        if self.storages.setdefault(key, storage) != storage:
            raise Damaged(f"the storage {shown(key)} has two types or sizes")
        return storage

    def tensors(self, numbers: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the state dict; a checkpoint that holds it beside numbers and texts will do.

        Args:
            numbers: those of each storage.
        """
        value = self._value
        if not isinstance(value, dict):
            raise UserError(f"{self._path}: found a {type(value).__name__}; a state dict is needed")
        for nest in _NESTED_UNDER:
            if isinstance(value.get(nest), dict):
                self._check_rest({name: part for name, part in value.items() if name != nest}, nest)
                value = value[nest]
        most = MAX_SHARING * sum(array.nbytes for array in numbers.values())
        arrays = {}
        for name, tensor in value.items():
            if not isinstance(name, str) or not isinstance(tensor, Tensor | np.ndarray):
                raise UserError(f"{self._path}: {shown(name)} is no tensor; a state dict holds tensors only")
            if isinstance(tensor, Tensor):
                tensor = tensor.of(numbers[tensor.storage.key])
                most -= tensor.nbytes
            arrays[name] = tensor
        if most < 0:
            raise UserError(f"{self._path}: refused: its tensors share their numbers too often")
        return arrays

    def _check_rest(self, rest: dict[Any, Any], nest: str) -> None:
        for name, value in rest.items():
            if not _is_plain(value):
                raise UserError(
                    f"{self._path}: holds {shown(name)} beside {nest}, which is more than numbers and texts; "
                    f"save {nest} alone"
                )


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bytes | int | float)


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    """Return the tensor of (storage, offset, shape, strides, needs gradient, hooks, facts)."""
    storage, offset, shape, strides, *rest = arguments
    shape = shape_of(shape)
    if not isinstance(storage, Storage) or not isinstance(strides, tuple) or len(strides) != len(shape):
        raise Damaged("a tensor is no view of a storage")
    if not all(type(number) is int and number >= 0 for number in (offset, *strides)):
        raise Refused("a tensor goes backwards through its storage")
    if any(rest[2:]):
        raise Refused("a tensor is to be conjugated or negated")
    strides = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    return Tensor(storage, offset, shape, strides)


def read_pytorch(file: BinaryIO, path: Path) -> Arrays:
    """Read the tensors of a state dict. bfloat16 becomes float32.

    Args:
        file: open for reading, at its beginning.
        path: what errors call it.

    Raises:
        UserError: the file is damaged, holds something else, or wants to run code.
    """
    is_zip = file.read(len(SIGNATURE)) == SIGNATURE
    file.seek(0)
    return _read_zip(file, path) if is_zip else _read_old(file, path)


# --- the old format


def _read_old(file: BinaryIO, path: Path) -> Arrays:
    for expected in (_MAGIC, _VERSION):
        found = load_arrays_pickle(file, path)
        if not isinstance(found, int) or found != expected:
            raise _not_pytorchs(path)
    load_arrays_pickle(file, path)  # facts about the machine; numbers are little-endian on every one
    content = _Content(file, path)
    keys = load_arrays_pickle(file, path)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _damaged(path, "no list of its storages")
    if sorted(keys) != sorted(content.storages):
        raise _damaged(path, "other storages than its tensors need")
    left = os.fstat(file.fileno()).st_size - file.tell()
    numbers = {}
    for key in keys:
        storage = content.storages[key]
        count = int.from_bytes(file.read(8), "little")
        left -= 8 + storage.nbytes
        if left < 0 or count != storage.count:
            raise _damaged(path, f"the storage {shown(key)} has another size")
        numbers[key] = storage.numbers(file.read(storage.nbytes))
    if left:
        raise _damaged(path, f"{left:,} bytes behind the last storage")
    return content.tensors(numbers)


# --- the zip format


def _read_zip(file: BinaryIO, path: Path) -> Arrays:
    archive = StoredZip(file, path)
    if "data.pkl" not in archive:
        raise _not_pytorchs(path)
    content = _Content(BytesIO(archive.read("data.pkl")), path)
    order = archive.read("byteorder") if "byteorder" in archive else b"little"
    if order not in _BYTE_ORDERS:
        raise _damaged(path, "an unknown byte order")
    numbers = {}
    for key, storage in content.storages.items():
        stored = archive.read(f"data/{key}")
        if len(stored) != storage.nbytes:
            raise _damaged(path, f"the storage {shown(key)} has another size")
        numbers[key] = storage.numbers(stored, _BYTE_ORDERS[order])
    return content.tensors(numbers)


def _not_pytorchs(path: Path) -> UserError:
    return UserError(f"{path}: not written by PyTorch's torch.save; give a state dict that it has saved")


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path}: the file is damaged or cut short ({what}); use another copy")
