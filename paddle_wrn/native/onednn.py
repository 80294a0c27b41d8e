"""The part of oneDNN's C interface that training a network needs, through ctypes.

oneDNN (https://uxlfoundation.github.io/oneDNN) is Intel's open library of fast layers for processors, AMD's
included. Paddle's wheels for Linux carry it. The names and numbers below are those of its `dnnl_types.h`;
within version 3 that file only grows.

A *description* says what is computed on which memory layouts, a *call* is its machine code bound to memory:

    description = library.describe("convolution_forward", ...)
    call = Call(library, stream, description, {SRC: x, WEIGHTS: w, DST: y})
    call()
"""

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

OLDEST, NEWEST = (3, 2), (3, 6)  # the versions inside Paddle 2.6.2 and 3.3.1, which the tests have seen

Layout = Literal["any", "plain", "channels_last", "channel_blocks"]

# Arguments of a call: DNNL_ARG_...
SRC, SRC_1, DST, WEIGHTS, BIAS = 1, 2, 17, 33, 41
MEAN, VARIANCE, SCALE, SHIFT, WORKSPACE, SCRATCHPAD = 49, 50, 51, 52, 64, 80
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS, DIFF_SCALE, DIFF_SHIFT = 129, 145, 161, 169, 255, 256
SOURCES = 1024  # of a concatenation, counted from here
SOURCE_SCALES = 4096 | SRC  # of a reorder
_POST_OPERATION = 32768  # of the first post-operation; those behind it follow at the same distance

# dnnl_prop_kind_t, dnnl_alg_kind_t
TRAINING, INFERENCE, BACKWARD = 64, 96, 128
DIRECT_CONVOLUTION, MAXIMUM, AVERAGE, ADD, MULTIPLY = 0x1, 0x1FF, 0x3FF, 0x1FFF0, 0x1FFF1
RELU, RELU_BY_RESULT, CLIP, CLIP_BY_RESULT = 0x20, 0x100, 0x2F, 0x106
# dnnl_normalization_flags_t
GLOBAL_STATS, USE_SCALE, USE_SHIFT, FUSE_RELU = 1, 2, 4, 8

IN_ORDER = 1  # dnnl_stream_flags_t
_CPU, _FLOAT32, _OPENMP, _USER_SCRATCHPAD = 1, 3, 2, 1
_IMPLEMENTATION, _ARGUMENT, _SCRATCHPAD = 8, 255, 136  # dnnl_query_t
_TAGS: Mapping[tuple[str, int], int] = {  # dnnl_format_tag_t by layout and number of dimensions
    ("any", 4): 1,
    ("any", 5): 1,
    ("plain", 1): 2,
    ("plain", 4): 5,
    ("plain", 5): 6,
    ("channels_last", 4): 22,
    ("channel_blocks", 4): 102,
}
_CACHE_LINE, _FLOAT_BYTES = 64, 4

BLOCK = 8  # channels that lie side by side in the layout `channel_blocks`: (N, C / 8, H, W, 8)


def operand_of(place: int) -> int:
    """Return the argument that is the second operand of the post-operation at a place, counted from 0."""
    return _POST_OPERATION * (place + 1) | SRC_1


class OneDNNError(Exception):
    """What oneDNN, or the version of it, does not do."""


class Handle:
    """An object of oneDNN's, destroyed with the last reference to it; ctypes passes it as its pointer."""

    def __init__(self, library: "Library", kind: str, *arguments: Any, create: str = "") -> None:
        pointer = c_void_p()
        library.check(create or f"{kind}_create", byref(pointer), *arguments)
        self._as_parameter_ = pointer
        self._destroy = getattr(library.functions, f"{kind}_destroy")

    @property
    def pointer(self) -> int | None:
        """The address of the object."""
        return self._as_parameter_.value

    def __del__(self) -> None:
        if hasattr(self, "_destroy"):
            self._destroy(self._as_parameter_)


# Its algorithm, and the layout of its operand or the two numbers of an activation
PostOperation = tuple[int, Handle | tuple[float, float]]


class Library:
    """oneDNN, loaded from a file.

    Raises:
        OneDNNError: a version that is not known, or one that does not use OpenMP.
        OSError: the file cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self.functions = ctypes.CDLL(str(path))
        self.version = self._checked_version()
        self.functions.dnnl_memory_desc_get_size.restype = c_size_t
        self.functions.dnnl_primitive_desc_query_md.restype = c_void_p
        self.engine = Handle(self, "dnnl_engine", c_int(_CPU), c_size_t(0))

    def _checked_version(self) -> tuple[int, int, int]:
        self.functions.dnnl_version.restype = ctypes.POINTER(_Version)
        found = self.functions.dnnl_version().contents
        version = (found.major, found.minor, found.patch)
        if not OLDEST <= version[:2] <= NEWEST:
            raise OneDNNError(f"oneDNN {'.'.join(map(str, version))}; 3.2 to 3.6 are known")
        if found.cpu_runtime != _OPENMP:
            raise OneDNNError("a oneDNN without OpenMP")
        return version

    def check(self, function: str, *arguments: Any) -> None:
        """Call a function of the library and raise `OneDNNError` if it refuses."""
        status = getattr(self.functions, function)(*arguments)
        if status:
            raise OneDNNError(f"{function} answered {status}")

    def layout(self, shape: Sequence[int], layout: Layout) -> Handle:
        """Describe float32 memory; `any` leaves the layout to the layer that is described with it."""
        tag = c_int(_TAGS[layout, len(shape)])
        create = "dnnl_memory_desc_create_with_tag"
        return Handle(
            self, "dnnl_memory_desc", c_int(len(shape)), _dims(shape), c_int(_FLOAT32), tag, create=create
        )

    def layout_of(self, description: Handle, argument: int) -> c_void_p | None:
        """Return the memory layout of an argument, living as long as the description, or None."""
        query, index = (_SCRATCHPAD, 0) if argument == SCRATCHPAD else (_ARGUMENT, argument)
        pointer = self.functions.dnnl_primitive_desc_query_md(description, c_int(query), c_int(index))
        return c_void_p(pointer) if pointer and self.size(c_void_p(pointer)) else None

    def part(self, layout: Any, shape: Sequence[int], offsets: Sequence[int]) -> Handle:
        """Describe a block of memory inside memory of a layout."""
        create = "dnnl_memory_desc_create_submemory"
        return Handle(self, "dnnl_memory_desc", layout, _dims(shape), _dims(offsets), create=create)

    def size(self, layout: Any) -> int:
        """Return the bytes memory of this layout takes."""
        return int(self.functions.dnnl_memory_desc_get_size(layout))

    def same(self, one: Any, other: Any) -> bool:
        """Return whether two layouts are equal."""
        return bool(self.functions.dnnl_memory_desc_equal(one, other))

    def describe(
        self, kind: str, *arguments: Any, after: Sequence[PostOperation] = (), scaled: int = 0
    ) -> Handle:
        """Describe a layer: `dnnl_<kind>_primitive_desc_create` without its first and last argument.

        Args:
            kind: `convolution_forward`, `reorder`, ...
            *arguments: those after the engine (`reorder` names its engines itself).
            after: what is done with the result at once, in this order.
            scaled: number of dimensions, the first ones, along which `SOURCE_SCALES` multiply the source.

        Raises:
            OneDNNError: oneDNN has no such layer.
        """
        attributes = Handle(self, "dnnl_primitive_attr")
        self.check("dnnl_primitive_attr_set_scratchpad_mode", attributes, c_int(_USER_SCRATCHPAD))
        if after:
            operations = Handle(self, "dnnl_post_ops")
            for algorithm, operand in after:
                if isinstance(operand, tuple):
                    numbers = [c_float(number) for number in operand]
                    self.check("dnnl_post_ops_append_eltwise", operations, c_int(algorithm), *numbers)
                else:
                    self.check("dnnl_post_ops_append_binary", operations, c_int(algorithm), operand)
            self.check("dnnl_primitive_attr_set_post_ops", attributes, operations)
        if scaled:
            mask = c_int((1 << scaled) - 1)
            self.check("dnnl_primitive_attr_set_scales_mask", attributes, c_int(SRC), mask)
        engine = () if kind == "reorder" else (self.engine,)
        create = f"dnnl_{kind}_primitive_desc_create"
        return Handle(self, "dnnl_primitive_desc", *engine, *arguments, attributes, create=create)

    def implementation(self, description: Handle) -> str:
        """Return oneDNN's name for the machine code; `ref` means slow."""
        name = c_char_p()
        self.check("dnnl_primitive_desc_query", description, c_int(_IMPLEMENTATION), c_int(0), byref(name))
        return (name.value or b"").decode()


class Memory:
    """Memory with a layout: its own, or, with `own=False`, that of a tensor which `move` names.

    Attributes:
        address: where it is; None before it is moved somewhere.
    """

    def __init__(self, library: Library, layout: Any, *, own: bool = True) -> None:
        self._size = library.size(layout)
        self._own = aligned(self._size) if own else None
        self.address: int | None = None if self._own is None else self._own.ctypes.data
        self.handle = Handle(library, "dnnl_memory", layout, library.engine, c_void_p(self.address))
        self._library = library

    @property
    def floats(self) -> NDArray[np.float32]:
        """The numbers, to be changed in place."""
        if self._own is not None:
            return self._own
        assert self.address is not None
        return np.ctypeslib.as_array((c_float * (self._size // _FLOAT_BYTES)).from_address(self.address))

    @property
    def layout(self) -> c_void_p:
        """The layout, which lives as long as the memory."""
        pointer = c_void_p()
        self._library.check("dnnl_memory_get_memory_desc", self.handle, byref(pointer))
        return pointer

    def move(self, address: int) -> None:
        """Use the memory at this address from now on."""
        self.address = address
        self._library.check("dnnl_memory_set_data_handle", self.handle, c_void_p(address))


class Call:
    """The machine code of a layer, bound to its memory."""

    def __init__(
        self, library: Library, stream: Handle, description: Handle, arguments: Mapping[int, Memory]
    ) -> None:
        self._check, self._stream, self._memories = library.check, stream, arguments
        self._primitive = Handle(library, "dnnl_primitive", description)
        pairs = [_Argument(number, memory.handle.pointer) for number, memory in arguments.items()]
        self._arguments = (_Argument * len(pairs))(*pairs)
        self._count = c_int(len(pairs))

    def __call__(self) -> None:
        """Compute; returns when the result is there."""
        self._check("dnnl_primitive_execute", self._primitive, self._stream, self._count, self._arguments)


class _Argument(ctypes.Structure):
    """dnnl_exec_arg_t."""

    _fields_ = (("number", c_int), ("memory", c_void_p))


class _Version(ctypes.Structure):
    """dnnl_version_t."""

    _fields_ = (
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    )


def _dims(values: Sequence[int]) -> ctypes.Array[c_int64]:
    return (c_int64 * len(values))(*values)


def aligned(size: int) -> NDArray[np.float32]:
    """Return uninitialised memory of at least `size` bytes that starts at a cache line."""
    size = -(-size // _FLOAT_BYTES) * _FLOAT_BYTES
    raw = np.empty(size + _CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE
    return raw[start : start + size].view(np.float32)
