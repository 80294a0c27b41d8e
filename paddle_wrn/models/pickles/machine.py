"""The stack machine that a pickle is the program of. It knows what it may make, and calls nothing else."""

import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from paddle_wrn.errors import UserError, shown
from paddle_wrn.models.pickles.opcodes import MAX_TEXT, Damaged, Opcodes, Refused

MAX_VALUES = 400_000  # in the result, where one that is met twice counts twice
MAX_DEPTH = 32  # of dictionaries and lists in one another
MAX_KEY = 2**31  # where whole numbers are keys


@dataclass(frozen=True)
class Name:
    """A name in a pickle. It stands for itself: nobody looks it up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{shown(self.module)}.{shown(self.name)}"


Call = Callable[[tuple[Any, ...]], Any]
"""Stands in for a call: the arguments in the pickle -> plain data."""


@dataclass(eq=False)
class Unbuilt:
    """What a call has begun and BUILD completes, such as an array.

    Attributes:
        complete: makes the whole of the state that BUILD brings.
        places: where the memo holds it meanwhile.
    """

    complete: Call
    places: list[int] = field(default_factory=list)


def read_pickle(
    file: BinaryIO,
    source: Path | str,
    calls: Mapping[Name, Call | None],
    persistent: Call | None = None,
) -> Any:
    """Read one pickle of dictionaries, lists, tuples, texts, bytes, numbers and what the calls make.

    Python 2's byte strings become texts of Latin-1.

    Args:
        file: open for reading, where the pickle begins; it is left where the pickle ends.
        source: what errors call it.
        calls: the names that are known and what a call of each makes; None for a name nobody may call.
        persistent: makes data of a persistent id; None where there are none.

    Raises:
        UserError: the pickle is damaged, too large, or wants something that could run code.
    """
    try:
        value = _Machine(file, calls, persistent).run()
        _check_data(value)
        return value
    except Refused as refused:
        what = f"refused: {refused}; only texts, numbers and arrays of numbers are admitted"
        raise UserError(f"{source}: {what}") from None
    except Damaged as damage:
        what = str(damage)
    except (LookupError, ValueError, TypeError, ArithmeticError, struct.error, Warning):
        what = f"something is wrong near byte {file.tell():,}"
    raise UserError(f"{source}: the file is damaged or no pickle ({what}); use another copy")


def put_items(target: Any, items: Iterable[tuple[Any, Any]]) -> None:
    """Put items into a dictionary, whose keys must be short and quick to compare."""
    if not isinstance(target, dict):
        raise Damaged("it puts an item into what is no dictionary")
    for key, value in items:
        if isinstance(key, str | bytes):
            admitted = len(key) <= MAX_TEXT
        else:
            admitted = isinstance(key, int) and 0 <= key < MAX_KEY
        if not admitted:
            raise Refused(f"a dictionary has a key that is too long or no text ({type(key).__name__})")
        if key in target:
            raise Refused(f"a dictionary has the key {shown(key)} twice")
        target[key] = value


def _check_data(value: Any) -> None:
    """Refuse what is no data, too deep or too large; a value counts each time somebody would meet it."""
    todo, seen = [(value, 0)], 1
    while todo:
        value, depth = todo.pop()
        if isinstance(value, Name | Unbuilt):
            raise Refused("it holds a name or an unfinished array")
        if isinstance(value, dict):
            parts: Iterable[Any] = value.values()
        elif isinstance(value, list | tuple):
            parts = value
        else:
            continue
        seen += len(value)
        if depth == MAX_DEPTH or seen > MAX_VALUES:
            raise Refused(f"it is nested more than {MAX_DEPTH} deep or has more than {MAX_VALUES:,} values")
        todo += [(part, depth + 1) for part in parts]


class _Machine:
    def __init__(self, file: BinaryIO, calls: Mapping[Name, Call | None], persistent: Call | None) -> None:
        self.opcodes = Opcodes(file)
        self.calls, self.persistent = calls, persistent
        # What calls make is in the file. Old protocols make the bytes of a text first, then the array.
        self.bytes_left = 2 * self.opcodes.left
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return what the program leaves on the stack."""
        for opcode, argument in self.opcodes:
            if opcode == pickle.STOP:
                break
            _STEPS[opcode](self, argument)
        return self.pop()

    # --- the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise Damaged("it takes from an empty stack")
        return self.stack.pop()

    def pop_last(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise Damaged("it takes from an empty stack")
        return self.pop_from(len(self.stack) - count)

    def pop_marked(self) -> tuple[Any, ...]:
        if not self.marks:
            raise Damaged("it takes from an empty stack")
        return self.pop_from(self.marks.pop())

    def pop_from(self, height: int) -> tuple[Any, ...]:
        values = tuple(self.stack[height:])
        del self.stack[height:]
        return values

    def top(self) -> Any:
        if not self.stack:
            raise Damaged("it looks at an empty stack")
        return self.stack[-1]

    # --- steps

    def append(self, values: tuple[Any, ...]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise Damaged("it appends to what is no list")
        target.extend(values)

    def set_items(self, values: tuple[Any, ...]) -> None:
        if len(values) % 2:
            raise Damaged("a dictionary has a key without a value")
        put_items(self.top(), zip(values[::2], values[1::2], strict=True))

    def make_dict(self) -> None:
        values = self.pop_marked()
        self.push({})
        self.set_items(values)

    def put(self, place: int) -> None:
        self.memo[place] = value = self.top()
        if isinstance(value, Unbuilt):
            value.places.append(place)

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise Damaged("it recalls what it never kept")
        self.push(self.memo[place])

    def name(self, names: tuple[Any, ...]) -> None:
        module, name = names
        if not isinstance(module, str) or not isinstance(name, str):
            raise Damaged("a name is no text")
        named = Name(module, name)
        if named not in self.calls:
            raise Refused(f"it asks for {named}, which could run code")
        self.push(named)

    def make_instance(self, names: tuple[str, str]) -> None:
        self.name(names)
        raise Refused(f"it calls {self.pop()}")

    def call(self) -> None:
        arguments, name = self.pop(), self.pop()
        make = self.calls[name] if isinstance(name, Name) else None
        if make is None:
            raise Refused(f"it calls {name if isinstance(name, Name) else shown(name)}")
        if not isinstance(arguments, tuple):
            raise Damaged("it calls something without arguments")
        self.push_made(make(arguments))

    def build(self) -> None:
        """Complete what was begun. Notes that PyTorch adds to a dictionary are left out."""
        state, target = self.pop(), self.pop()
        if isinstance(target, Unbuilt):
            made = target.complete(state)
            self.memo.update({place: made for place in target.places if self.memo[place] is target})
            self.push_made(made)
        elif isinstance(target, dict):
            self.push(target)
        else:
            raise Refused(f"it changes {shown(target)}")

    def call_persistent(self) -> None:
        if self.persistent is None:
            raise Refused("it asks for something outside of it")
        self.push(self.persistent(self.pop()))

    def push_made(self, made: Any) -> None:
        self.bytes_left -= len(made) if isinstance(made, bytes) else getattr(made, "nbytes", 0)
        if self.bytes_left < 0:
            raise Refused("its arrays are larger than the file")
        self.push(made)


_PUSHED = (
    *(pickle.BININT1, pickle.BININT2, pickle.BININT, pickle.LONG1, pickle.LONG4, pickle.INT, pickle.LONG),
    *(pickle.FLOAT, pickle.BINFLOAT, pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.UNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8),
    *(pickle.SHORT_BINBYTES, pickle.BINBYTES, pickle.BINBYTES8, pickle.BYTEARRAY8),
)
_STEPS: Mapping[bytes, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys((pickle.PROTO, pickle.FRAME), lambda m, _: None),
    **dict.fromkeys(_PUSHED, _Machine.push),
    **dict.fromkeys((pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT), _Machine.put),
    **dict.fromkeys((pickle.GET, pickle.BINGET, pickle.LONG_BINGET), _Machine.get),
    **dict.fromkeys((pickle.REDUCE, pickle.NEWOBJ), lambda m, _: m.call()),
    pickle.NONE: lambda m, _: m.push(None),
    pickle.NEWTRUE: lambda m, _: m.push(True),
    pickle.NEWFALSE: lambda m, _: m.push(False),
    pickle.MARK: lambda m, _: m.marks.append(len(m.stack)),
    pickle.EMPTY_TUPLE: lambda m, _: m.push(()),
    pickle.EMPTY_LIST: lambda m, _: m.push([]),
    pickle.EMPTY_DICT: lambda m, _: m.push({}),
    pickle.TUPLE: lambda m, _: m.push(m.pop_marked()),
    pickle.TUPLE1: lambda m, _: m.push(m.pop_last(1)),
    pickle.TUPLE2: lambda m, _: m.push(m.pop_last(2)),
    pickle.TUPLE3: lambda m, _: m.push(m.pop_last(3)),
    pickle.LIST: lambda m, _: m.push(list(m.pop_marked())),
    pickle.DICT: lambda m, _: m.make_dict(),
    pickle.APPEND: lambda m, _: m.append(m.pop_last(1)),
    pickle.APPENDS: lambda m, _: m.append(m.pop_marked()),
    pickle.SETITEM: lambda m, _: m.set_items(m.pop_last(2)),
    pickle.SETITEMS: lambda m, _: m.set_items(m.pop_marked()),
    pickle.MEMOIZE: lambda m, _: m.put(len(m.memo)),
    pickle.GLOBAL: _Machine.name,
    pickle.STACK_GLOBAL: lambda m, _: m.name(m.pop_last(2)),
    pickle.INST: _Machine.make_instance,
    pickle.BUILD: lambda m, _: m.build(),
    pickle.BINPERSID: lambda m, _: m.call_persistent(),
}
