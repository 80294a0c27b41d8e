"""The opcodes of a pickle, one by one: what `pickletools.genops` does, with bounds.

A size that the file states takes no memory before the bytes are known to be there.
"""

import codecs
import os
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

MAX_STEPS = 400_000  # a state dict of 400 tensors takes 13,000, a batch of CIFAR-10 40,000
MAX_TEXT = 10_000  # bytes; what is longer must be an array's content
MAX_TEXTS = 64_000_000  # bytes, all texts together
MAX_CONTENT = 128_000_000  # bytes of an array that is written as a text

_MAX_LINE = 1_000  # bytes of a name or a number in decimals
_MAX_INTEGER = 255  # bytes
_UNSUPPORTED = {  # opcodes that exist, but that files of arrays do not have
    getattr(pickle, name): name
    for name in (
        *("PERSID", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "POP", "POP_MARK", "DUP", "EMPTY_SET"),
        *("ADDITEMS", "FROZENSET", "NEXT_BUFFER", "READONLY_BUFFER"),
    )
}


class Refused(Exception):  # noqa: N818
    """A pickle wants what it does not get; the text says what."""


class Damaged(Exception):  # noqa: N818
    """No pickler writes such a pickle; the text says what is wrong."""


class Opcodes:
    """Iterates over (opcode, argument) from where the file is to the end of the pickle.

    The argument is a number, a text, bytes, the two texts of a name, or None. Texts of more than `MAX_TEXT`
    bytes come as bytes: protocols 0 to 2 write an array's bytes as a text of Latin-1.

    Attributes:
        left: bytes of the file that have not been read.
    """

    def __init__(self, file: BinaryIO) -> None:
        begin = file.tell()
        self.left = file.seek(0, os.SEEK_END) - begin
        file.seek(begin)
        self._file = file
        self._texts_left = MAX_TEXTS

    def __iter__(self) -> Iterator[tuple[bytes, Any]]:
        for _ in range(MAX_STEPS):
            opcode = self._take(1)
            if opcode in _UNSUPPORTED:
                raise Refused(f"it uses the opcode {_UNSUPPORTED[opcode]}")
            if opcode not in _ARGUMENTS:
                raise Damaged(f"byte {self._file.tell() - 1:,} is no opcode")
            yield opcode, _ARGUMENTS[opcode](self)
        raise Refused(f"it takes more than {MAX_STEPS:,} steps")

    def _take(self, size: int) -> bytes:
        content = self._file.read(size) if size <= self.left else b""
        if len(content) != size:
            raise Damaged("it ends too early")
        self.left -= size
        return content

    def _counted(self, bytes_of_size: int) -> bytes:
        """Return as many bytes as the number before them says."""
        return self._take(self._number(bytes_of_size))

    def _line(self, most: int = _MAX_LINE) -> bytes:
        content = self._file.readline(min(most, self.left))
        self.left -= len(content)
        if not content.endswith(b"\n"):
            raise Damaged("a line does not end")
        return content[:-1]

    def _number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(size), "little", signed=signed)

    def _integer(self, bytes_of_size: int) -> int:
        size = self._number(bytes_of_size)
        if size > _MAX_INTEGER:
            raise Refused(f"it has a whole number of {size:,} bytes")
        return self._number(size, signed=True)

    def _text(self, content: bytes, encoding: str) -> str | bytes:
        if len(content) > MAX_TEXT:
            if encoding == "latin1":
                return content
            if len(content) > MAX_CONTENT:
                raise Refused(f"it has a text of {len(content):,} bytes")
            return content.decode(encoding).encode("latin1")
        self._texts_left -= len(content)
        if self._texts_left < 0:
            raise Refused(f"it has more than {MAX_TEXTS:,} bytes of texts")
        return content.decode(encoding)

    def _quoted(self) -> bytes:
        line = self._line(MAX_CONTENT)
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise Damaged("a text has no quotes")
        return codecs.escape_decode(line[1:-1])[0]

    def _name(self) -> tuple[str, str]:
        return self._line().decode(), self._line().decode()

    def _protocol(self) -> int:
        protocol = self._number(1)
        if protocol > pickle.HIGHEST_PROTOCOL:
            raise Damaged(f"protocol {protocol}")
        return protocol


def _decimal(line: bytes) -> int | bool:
    return {b"00": False, b"01": True}.get(line, int(line))


_NO_ARGUMENT = (
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.MARK, pickle.STOP, pickle.MEMOIZE),
    *(pickle.EMPTY_TUPLE, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2),
    *(pickle.TUPLE3, pickle.LIST, pickle.DICT, pickle.APPEND, pickle.APPENDS, pickle.SETITEM),
    *(pickle.SETITEMS, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.NEWOBJ, pickle.BUILD, pickle.BINPERSID),
)
_ARGUMENTS: Mapping[bytes, Callable[[Opcodes], Any]] = {
    **dict.fromkeys(_NO_ARGUMENT, lambda code: None),
    pickle.PROTO: Opcodes._protocol,
    pickle.FRAME: lambda code: code._take(8),
    pickle.BININT1: lambda code: code._number(1),
    pickle.BININT2: lambda code: code._number(2),
    pickle.BININT: lambda code: code._number(4, signed=True),
    pickle.LONG1: lambda code: code._integer(1),
    pickle.LONG4: lambda code: code._integer(4),
    pickle.INT: lambda code: _decimal(code._line()),
    pickle.LONG: lambda code: int(code._line().removesuffix(b"L")),
    pickle.FLOAT: lambda code: float(code._line()),
    pickle.BINFLOAT: lambda code: struct.unpack(">d", code._take(8))[0],
    pickle.STRING: lambda code: code._text(code._quoted(), "latin1"),
    pickle.BINSTRING: lambda code: code._text(code._counted(4), "latin1"),
    pickle.SHORT_BINSTRING: lambda code: code._text(code._counted(1), "latin1"),
    pickle.UNICODE: lambda code: code._text(code._line(MAX_CONTENT), "raw-unicode-escape"),
    pickle.SHORT_BINUNICODE: lambda code: code._text(code._counted(1), "utf-8"),
    pickle.BINUNICODE: lambda code: code._text(code._counted(4), "utf-8"),
    pickle.BINUNICODE8: lambda code: code._text(code._counted(8), "utf-8"),
    pickle.SHORT_BINBYTES: lambda code: code._counted(1),
    pickle.BINBYTES: lambda code: code._counted(4),
    pickle.BINBYTES8: lambda code: code._counted(8),
    pickle.BYTEARRAY8: lambda code: code._counted(8),
    pickle.PUT: lambda code: int(code._line()),
    pickle.BINPUT: lambda code: code._number(1),
    pickle.LONG_BINPUT: lambda code: code._number(4),
    pickle.GET: lambda code: int(code._line()),
    pickle.BINGET: lambda code: code._number(1),
    pickle.LONG_BINGET: lambda code: code._number(4),
    pickle.GLOBAL: Opcodes._name,
    pickle.INST: Opcodes._name,
}
