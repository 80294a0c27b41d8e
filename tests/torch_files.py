"""Files of tensors as PyTorch's `torch.save` writes them, byte for byte, written without PyTorch.

    write_torch_file(path, {"fc.weight": np.ones((2, 3), np.float32)})  # the zip format
    write_torch_file(path, {...}, old=True)

Two things differ from the files of PyTorch 2.13: the zip's serialization id is no hash, and the old format's
names of storages are no addresses.
"""

import struct
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {  # of each number type
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "uint16": "BFloat16Storage",  # the bits
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


@dataclass(frozen=True, eq=False)
class View:
    """A tensor that is a view of some numbers: several may be of the same.

    Attributes:
        numbers: a row of them; an array of bits in uint16 stands for bfloat16.
        offset: of the first number.
        shape: of the tensor.
        strides: in numbers.
    """

    numbers: NDArray[Any]
    offset: int
    shape: Sequence[int]
    strides: Sequence[int]


@dataclass(frozen=True)
class Global:
    """A name in a pickle."""

    module: str
    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """A call in a pickle."""

    function: Global
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Persistent:
    """What is outside of a pickle."""

    identifier: tuple[Any, ...]


class FreshText(str):
    """A text that is not the same object as an equal one before, so that a pickle holds it again."""


ORDERED_DICT = Global("collections", "OrderedDict")


class TorchPickler:
    """Pickles in protocol 2, as Python does, with tensors as PyTorch does.

    Args:
        old: the old format names storages by addresses; here they count from 1,000.

    Attributes:
        storages: key -> the numbers that were met.
    """

    def __init__(self, old: bool) -> None:
        self.storages: dict[str, NDArray[Any]] = {}
        self._old = old
        self._memo: dict[Any, int] = {}

    def dumps(self, value: Any) -> bytes:
        self._memo.clear()
        return b"\x80\x02" + self._save(value) + b"."

    def _save(self, value: Any) -> bytes:
        match value:
            case np.ndarray():
                strides = [stride // value.itemsize for stride in value.strides]
                return self._save(View(value.ravel("K"), 0, value.shape, strides))
            case View():
                arguments = (self._storage(value.numbers), value.offset, tuple(value.shape))
                hooks = Call(ORDERED_DICT, ())
                function = Global("torch._utils", "_rebuild_tensor_v2")
                return self._save(Call(function, (*arguments, tuple(value.strides), False, hooks)))
            case Persistent():
                return self._save(value.identifier) + b"Q"
            case Call():
                code = self._save(value.function) + self._save(value.arguments) + b"R"
                return code + self._put(object())
            case Global():
                return self._memoised(value, f"c{value.module}\n{value.name}\n".encode())
            case str():
                code = b"X" + struct.pack("<I", len(value.encode())) + value.encode()
                return code + self._put(object()) if type(value) is FreshText else self._memoised(value, code)
            case None | True | False:
                return {None: b"N", True: b"\x88", False: b"\x89"}[value]
            case int():
                return self._number(value)
            case float():
                return b"G" + struct.pack(">d", value)
            case tuple():
                return self._tuple(value)
            case list():
                return b"]" + self._put(object()) + self._batch(value, b"a", b"e")
            case dict():
                ordered = isinstance(value, OrderedDict)
                begin = self._save(Call(ORDERED_DICT, ())) if ordered else b"}" + self._put(object())
                return begin + self._batch([part for item in value.items() for part in item], b"s", b"u", 2)
        raise TypeError(type(value))

    def _storage(self, numbers: NDArray[Any]) -> Persistent:
        known = [key for key, array in self.storages.items() if array is numbers]
        key = known[0] if known else str(len(self.storages) + (1000 if self._old else 0))
        self.storages[key] = numbers
        storage_type = Global("torch", STORAGES[numbers.dtype.name])
        identifier: tuple[Any, ...] = ("storage", storage_type, key, "cpu", numbers.size)
        if self._old:
            identifier = ("storage", storage_type, FreshText(key), "cpu", numbers.size, None)
        return Persistent(identifier)

    def _memoised(self, value: Any, code: bytes) -> bytes:
        if value not in self._memo:
            return code + self._put(value)
        place = self._memo[value]
        return b"h" + bytes([place]) if place < 256 else b"j" + struct.pack("<I", place)

    def _put(self, value: Any) -> bytes:
        place = self._memo[value] = len(self._memo)
        return b"q" + bytes([place]) if place < 256 else b"r" + struct.pack("<I", place)

    @staticmethod
    def _number(value: int) -> bytes:
        if 0 <= value < 256:
            return b"K" + bytes([value])
        if 0 <= value < 65536:
            return b"M" + struct.pack("<H", value)
        if abs(value) < 2**31:
            return b"J" + struct.pack("<i", value)
        content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(content)]) + content

    def _tuple(self, value: tuple[Any, ...]) -> bytes:
        if not value:
            return b")"
        parts = b"".join(map(self._save, value))
        code = parts + bytes([0x84 + len(value)]) if len(value) <= 3 else b"(" + parts + b"t"
        return code + self._put(object())

    def _batch(self, values: Sequence[Any], one: bytes, several: bytes, step: int = 1) -> bytes:
        code = b""
        for begin in range(0, len(values), 1000 * step):
            batch = values[begin : begin + 1000 * step]
            parts = b"".join(map(self._save, batch))
            code += parts + one if len(batch) == step else b"(" + parts + several
        return code


def write_torch_file(path: Path, content: Any, *, old: bool = False, byte_order: str = "little") -> None:
    """Write what `torch.save` would write.

    Args:
        path: the file; in the zip format its stem is the folder of the members.
        content: arrays (tensors) and `View`s in dictionaries, lists and tuples, with numbers and texts.
        old: in the format before PyTorch 1.6.
        byte_order: of the machine that writes; the old format is little-endian on every one.
    """
    pickler = TorchPickler(old)
    pickled = pickler.dumps(content)
    path.write_bytes(_old(pickled, pickler) if old else _zip(path.stem, pickled, pickler, byte_order))


def _old(pickled: bytes, pickler: TorchPickler) -> bytes:
    sizes = {"short": 2, "int": 4, "long": 4}
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    keys = sorted(pickler.storages)
    pickles = [pickler.dumps(MAGIC), pickler.dumps(1001), pickler.dumps(facts), pickled, pickler.dumps(keys)]
    storages = (pickler.storages[key] for key in keys)
    return b"".join(pickles) + b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages)


def _zip(stem: str, pickled: bytes, pickler: TorchPickler, byte_order: str) -> bytes:
    members = {"data.pkl": pickled, ".format_version": b"1", ".storage_alignment": b"64"}
    members["byteorder"] = byte_order.encode()
    for key, array in pickler.storages.items():
        ordered = array if byte_order == "little" else array.byteswap()
        members[f"data/{key}"] = ordered.tobytes()
    members |= {"version": b"3\n", ".data/serialization_id": b"0" * 40}
    return zip_archive({f"{stem}/{name}": content for name, content in members.items()})


def zip_archive(members: dict[str, bytes], method: int = 0) -> bytes:
    """Return an archive whose members begin at multiples of 64 bytes.

    Args:
        members: content by name.
        method: what the headers call the compression: 0 for none.
    """
    archive, table = b"", b""
    for name, content in members.items():
        head = len(archive) + 30 + len(name.encode()) + 4
        padding = -head % 64
        flags = 0x808 if content else 0x800  # sizes and checksum behind the content, which miniz leaves out
        facts = struct.pack("<3H", 0, flags, method) + bytes(4)  # version ... time
        checked = struct.pack("<3I", zlib.crc32(content), len(content), len(content))
        table += b"PK\1\2" + bytes(2) + facts + checked + struct.pack("<H", len(name.encode())) + bytes(12)
        table += struct.pack("<I", len(archive)) + name.encode()
        archive += b"PK\3\4" + facts + bytes(12) + struct.pack("<2H", len(name.encode()), 4 + padding)
        archive += name.encode() + b"FB" + struct.pack("<H", padding) + b"Z" * padding + content
        archive += b"PK\7\x08" + checked if content else b""
    count, place, end = len(members), len(archive), len(archive) + len(table)
    wide_end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 798, 45, 0, 0, count, count, len(table), place)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    narrow_end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(table), place, 0)
    return archive + table + wide_end + locator + narrow_end
