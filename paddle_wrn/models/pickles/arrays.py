"""NumPy's arrays in pickles, as Python 2 and 3, NumPy 1 and 2 and Paddle write them in protocols 0 to 5.

Only plain numbers are admitted, and an array has exactly the bytes that the file holds for it.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.errors import shown
from paddle_wrn.models.pickles.machine import Call, Name, Unbuilt, put_items, read_pickle
from paddle_wrn.models.pickles.opcodes import Damaged, Refused

MAX_DIMENSIONS = 32

_MAX_ELEMENTS = 2**48  # NumPy's own arithmetic ends at 2**63 bytes
_NUMBER_TYPES = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"})


def load_arrays_pickle(file: BinaryIO, source: Path | str) -> Any:
    """Read a pickle made of dictionaries, lists, texts, numbers and NumPy arrays; refuse all else.

    Python 2's byte strings become texts. The arrays share the bytes that were read: nobody can write to them.

    Args:
        file: open for reading.
        source: what errors call it.

    Raises:
        UserError: the pickle is damaged, too large, or wants something that could run code.
    """
    return read_pickle(file, source, ARRAY_CALLS)


def shape_of(value: Any) -> tuple[int, ...]:
    """Return a shape, or strides, after checking it: a tuple of whole numbers, none negative or too large."""
    if not isinstance(value, tuple) or not all(type(size) is int and size >= 0 for size in value):
        raise Damaged("an array has no shape")
    if len(value) > MAX_DIMENSIONS or math.prod(size or 1 for size in value) > _MAX_ELEMENTS:
        raise Damaged("an array is too large")
    return value


def array_of(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """Return the array of exactly these bytes, in the byte order of this machine.

    Args:
        content: bytes, or Python 2's text of them.
        dtype: a type of plain numbers.
        shape: tuple of sizes.
        order: "C" or "F".
    """
    content = _encoded((content,))
    if not isinstance(dtype, np.dtype) or order not in ("C", "F"):
        raise Damaged("an array has no type or order")
    needed = math.prod(shape_of(shape)) * dtype.itemsize
    if len(content) != needed:
        raise Damaged(f"an array of {needed:,} bytes has {len(content):,}")
    if dtype.kind == "b":  # whose bytes could be others than 0 and 1
        return np.ndarray(shape, np.uint8, content, order=order) != 0
    array: NDArray[Any] = np.ndarray(shape, dtype, content, order=order)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _array_of_state(state: tuple[Any, ...]) -> NDArray[Any]:
    _, shape, dtype, fortran, content = state
    return array_of(content, dtype, shape, "F" if fortran else "C")


def _dtype(arguments: tuple[Any, ...]) -> Unbuilt:
    code = arguments[0]
    if not isinstance(code, str):
        raise Damaged("a number type has no name")
    if code not in _NUMBER_TYPES:
        raise Refused(f"it has an array of type {shown(code)}")
    return Unbuilt(partial(_ordered, code))


def _ordered(code: str, state: tuple[Any, ...]) -> np.dtype[Any]:
    order = state[1]
    if order not in ("<", ">", "|", "="):
        raise Damaged("a number type has no byte order")
    return np.dtype(order + code)


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    """Return the bytes of the text that old protocols write them as."""
    content = arguments[0]
    if isinstance(content, str):
        return content.encode("latin1")
    if isinstance(content, bytes):
        return content
    raise Damaged("bytes are neither bytes nor a text")


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Return the dictionary of nothing, or of the list of pairs that Python 2 writes."""
    made: dict[Any, Any] = {}
    for pairs in arguments:
        if not isinstance(pairs, list):
            raise Damaged("a dictionary is made of no list")
        put_items(made, ((key, value) for key, value in pairs))
        pairs.clear()  # so that no list is paid for twice
    return made


def _tuple(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    (values,) = arguments
    if not isinstance(values, tuple):
        raise Damaged("a tuple is made of something else")
    return values


def _empty_bytes(arguments: tuple[Any, ...]) -> bytes:
    if arguments:
        raise Refused("it calls bytes")
    return b""


def _names(modules: Iterable[str], name: str, call: Call | None) -> dict[Name, Call | None]:
    return {Name(module, name): call for module in modules}


_BUILTINS = "builtins", "__builtin__"
ARRAY_CALLS: Mapping[Name, Call | None] = {
    **_names(["collections"], "OrderedDict", _ordered_dict),
    **_names(_BUILTINS, "tuple", _tuple),
    **_names(_BUILTINS, "bytes", _empty_bytes),
    **_names(["_codecs"], "encode", _encoded),
    **_names(["numpy"], "ndarray", None),
    **_names(["numpy"], "dtype", _dtype),
    **_names(
        ["numpy.core.multiarray", "numpy._core.multiarray"],
        "_reconstruct",
        lambda arguments: Unbuilt(_array_of_state),
    ),
    **_names(
        ["numpy.core.numeric", "numpy._core.numeric"], "_frombuffer", lambda arguments: array_of(*arguments)
    ),
}
