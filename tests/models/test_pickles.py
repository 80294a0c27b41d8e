"""Tests of reading pickles that anybody may have made; more of what they try is in test_weight_files.py."""

import io
import pickle
import re
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.models.pickles import load_arrays_pickle, machine, opcodes

ENDS = "; only texts, numbers and arrays of numbers are admitted$"
# A number type, float32, in the memo at 0:
FLOAT32 = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x00"


def load(content: bytes) -> Any:
    return load_arrays_pickle(io.BytesIO(content), "file")


def refused(content: bytes, what: str, ends: str = ENDS) -> None:
    with pytest.raises(UserError, match=f"^file: refused: {what}{ends}"):
        load(content)


def damaged(content: bytes, what: str = ".*") -> None:
    with pytest.raises(
        UserError, match=rf"^file: the file is damaged or no pickle \({what}\); use another copy$"
    ):
        load(content)


def short_text(text: str) -> bytes:
    return b"\x8c" + bytes([len(text.encode())]) + text.encode()


def array(content: bytes, shape: bytes = b"K\x02\x85", order: bytes = b"\x89") -> bytes:
    """Return a pickle of an array of float32 whose parts are given as opcodes."""
    begun = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    return b"\x80\x02" + FLOAT32 + begun + b"(K\x01" + shape + b"h\x00" + order + content + b"tb."


# --- what is read


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "f2", "f4", "f8", "i8", "bool", ">f4", ">i2"])
def test_what_data_is_made_of_is_read(protocol: int, dtype: str) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    content: dict[str, Any] = {
        "data": values,
        "columns": np.asfortranarray(values),
        "parts": values[:, ::2],
        "none": values[:0],
        "long": np.resize(values, 30_000),
        "one": values[0, 0, None].reshape(()),
        "labels": [1, 2, -3, 300, 70_000, 2**40, -(2**70), True],
        "more": ("a", 0.5, None, [], {}, (), False, "蕉林莺" * 50),
        "ordered": OrderedDict(a=1, b=(2,)),
        7: b"bytes",
    }

    found = load(pickle.dumps(content, protocol))

    assert found.keys() == content.keys()
    for name, value in content.items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype.newbyteorder("=")
            assert np.array_equal(found[name], value), name
        else:
            assert found[name] == value
    assert not found["data"].flags.writeable or dtype in ("bool", ">f4", ">i2")


def test_an_array_that_is_there_twice_is_read_twice() -> None:
    values = np.arange(1000)

    found = load(pickle.dumps([values, values]))

    assert found[0] is found[1]
    assert np.array_equal(found[0], values)


def test_python_2s_byte_strings_become_texts() -> None:
    assert load(b"\x80\x02}q\x00U\x04dataU\x03\xe9\xff\x00s.") == {"data": "\xe9\xff\x00"}
    assert load(b"(dp1\nS'a\\x00\\xff\\n\\'\\\\'\np2\nI5\ns.") == {"a\x00\xff\n'\\": 5}


def test_python_2s_arrays_are_read() -> None:
    content = np.arange(5000, dtype="<f4")
    binary = b"T" + struct.pack("<I", content.nbytes) + content.tobytes()
    quoted = b"S'" + b"".join(b"\\x%02x" % byte for byte in content.tobytes()) + b"'\n"

    for text in (binary, quoted):
        assert np.array_equal(load(array(text, b"M\x88\x13\x85")), content)


def test_pairs_make_an_ordered_dictionary_as_python_2_writes_it() -> None:
    pairs = b"](](U\x01aK\x01e](U\x01bK\x02ee"

    assert load(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R.") == {"a": 1, "b": 2}


def test_bytes_of_truth_values_are_0_or_1() -> None:
    content = pickle.dumps(np.array([True, False, True]), 4).replace(b"\x01\x00\x01", b"\x07\x00\xff")

    assert load(content).view(np.uint8).tolist() == [1, 0, 1]


# --- what is not a pickle


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02}q\x00U\x04da", b"\x80\xff."])
def test_what_is_no_pickle_is_named(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^a/b: the file is damaged or no pickle \("):
        load_arrays_pickle(io.BytesIO(content), Path("a/b"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b".", "it takes from an empty stack"),
        (b"\x85.", "it takes from an empty stack"),
        (b"t.", "it takes from an empty stack"),
        (b"((t0.", "."),
        (b"Na.", "."),
        (b"NNa.", "it appends to what is no list"),
        (b"]NNs.", "it puts an item into what is no dictionary"),
        (b"}(Nu.", "a dictionary has a key without a value"),
        (b"q\x00.", "it looks at an empty stack"),
        (b"h\x00.", "it recalls what it never kept"),
        (b"gx\n.", "something is wrong near byte 3"),
        (b"I1", "a line does not end"),
        (b"I" + b"1" * 2000 + b"\n.", "a line does not end"),
        (b"Ix\n.", "something is wrong near byte 3"),
        (b"S'a\n.", "a text has no quotes"),
        (b"X\x01\0\0\0\xff.", "something is wrong near byte 6"),
        (b"NN\x93.", "a name is no text"),
        (b"ccollections\nOrderedDict\nNR.", "it calls something without arguments"),
        (b"ccollections\nOrderedDict\nN\x85R.", "a dictionary is made of no list"),
        (b"cbuiltins\ntuple\n]\x85R.", "a tuple is made of something else"),
        (b"c_codecs\nencode\nK\x05\x85R.", "bytes are neither bytes nor a text"),
        (b"\x80\x06N.", "protocol 6"),
        (b"\xff", "byte 0 is no opcode"),
    ],
)
def test_damage_is_located(content: bytes, what: str) -> None:
    if what == ".":
        with pytest.raises(UserError):
            load(content)
    else:
        damaged(content, what)


# --- what asks for more than data


def test_what_else_is_asked_for_is_named() -> None:
    refused(pickle.dumps(Path("x")), r"it asks for pathlib\S*Path, which could run code")
    refused(b"\x80\x04" + short_text("os") + short_text("system") + b"\x93.", "it asks for os.system, .*")
    refused(b"cos\nsystem\n(S'true'\ntR.", "it asks for os.system, which could run code")
    refused(b"(S'true'\nios\nsystem\n.", "it asks for os.system, which could run code")
    refused(b"(cos\nsystem\nS'true'\no.", "it asks for os.system, which could run code")
    refused(b"(icollections\nOrderedDict\n.", "it calls collections.OrderedDict")
    refused(b"ctorch._utils\n_rebuild_tensor_v2\n.", "it asks for torch._utils._rebuild_tensor_v2, .*")


@pytest.mark.parametrize(
    ("content", "opcode"),
    [
        (b"\x82\x01.", "EXT1"),
        (b"\x83\x01\x00.", "EXT2"),
        (b"\x84\x01\x00\x00\x00.", "EXT4"),
        (b"Pname\n.", "PERSID"),
        (b"(ccollections\nOrderedDict\no.", "OBJ"),
        (b"ccollections\nOrderedDict\n)}\x92.", "NEWOBJ_EX"),
        (b"N2.", "DUP"),
        (b"\x8f.", "EMPTY_SET"),
        (b"(\x91.", "FROZENSET"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"N\x98.", "READONLY_BUFFER"),
    ],
)
def test_opcodes_that_arrays_do_not_need_are_refused(content: bytes, opcode: str) -> None:
    refused(content, f"it uses the opcode {opcode}")


def test_a_persistent_id_asks_for_something_outside() -> None:
    refused(b"\x80\x02U\x01aQ.", "it asks for something outside of it")


def test_what_may_be_named_may_not_be_called_for_that() -> None:
    refused(b"cnumpy\nndarray\n)R.", "it calls numpy.ndarray")
    refused(b"cnumpy\nndarray\n)\x81.", "it calls numpy.ndarray")
    refused(b"cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.", "it calls bytes")
    refused(b"N)R.", "it calls a NoneType")
    refused(b"]}b.", "it changes a list")
    refused(b"ccollections\nOrderedDict\n}b.", "it changes a Name")
    refused(b"ccollections\nOrderedDict\n.", "it holds a name or an unfinished array")
    refused(b"cnumpy.core.multiarray\n_reconstruct\n)R.", "it holds a name or an unfinished array")


class Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def test_an_array_of_addresses_is_not_made() -> None:
    """Python's own unpickler would follow the eight bytes as an address, and crash."""
    crafted = Calls(OrderedDict, Calls(np.ndarray, (1,), "O", b"\x41" * 8))

    refused(pickle.dumps(crafted, 4), "it calls numpy.ndarray")


@pytest.mark.parametrize(
    "code", ["O8", "O", "U4", "S4", "V8", "c8", "M8", "m8", "f4,f4", "(2,)f4", "f16", "V", "x"]
)
def test_only_plain_numbers_are_types(code: str) -> None:
    refused(
        b"\x80\x04cnumpy\ndtype\n" + short_text(code) + b"\x89\x88\x87R.",
        re.escape(f"it has an array of type {code}"),
    )


# --- sizes


@pytest.mark.parametrize("opcode", [b"\x8d", b"\x8e", b"\x96"])  # BINUNICODE8, BINBYTES8, BYTEARRAY8
@pytest.mark.parametrize("size", [9, 2**31, 2**40, 2**63, 2**64 - 1])
def test_a_size_beyond_the_file_takes_no_memory(opcode: bytes, size: int) -> None:
    damaged(b"\x80\x05" + opcode + struct.pack("<Q", size) + bytes(8), "it ends too early")


@pytest.mark.parametrize("opcode", [b"X", b"B", b"T", b"r", b"j"])
def test_a_smaller_size_neither(opcode: bytes) -> None:
    damaged(
        opcode + b"\xff\xff\xff\xff", "it (ends too early|looks at an empty stack|recalls what it never kept)"
    )


def test_numbers_are_bounded() -> None:
    refused(b"\x8b" + struct.pack("<I", 2**31 - 1) + bytes(9), "it has a whole number of 2,147,483,647 bytes")
    refused(
        b"\x8b" + struct.pack("<I", 10**6) + b"\x7f" * 10**6 + b".",
        "it has a whole number of 1,000,000 bytes",
    )
    damaged(b"L" + b"9" * 10**6 + b"L\n.", "a line does not end")
    assert load(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.") == 0x1950A86A20F9469CFC6C


def test_steps_and_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(b"N" * 400_001, "it takes more than 400,000 steps")
    monkeypatch.setattr(opcodes, "MAX_TEXTS", 1000)
    assert load(b"(" + short_text("a" * 100) * 10 + b"t.") == ("a" * 100,) * 10
    refused(b"(" + short_text("a" * 100) * 11 + b"t.", "it has more than 1,000 bytes of texts")
    monkeypatch.setattr(opcodes, "MAX_CONTENT", 20_000)
    refused(b"X" + struct.pack("<I", 20_001) + b"a" * 20_001 + b".", "it has a text of 20,001 bytes")


@pytest.mark.parametrize(
    ("content", "shape", "what"),
    [
        (b"C\x04abcd", b"K\x02\x85", "an array of 8 bytes has 4"),
        (b"C\x08abcdefgh", b"K\x01\x85", "an array of 4 bytes has 8"),
        (b"C\x00", b"J\xff\xff\xff\xff\x85", "an array has no shape"),
        (b"C\x00", b"\x88\x85", "an array has no shape"),
        (b"C\x00", b"]", "an array has no shape"),
        (b"C\x00", b"G" + bytes(8) + b"\x85", "an array has no shape"),
        (b"C\x00", b"(" + b"K\x01" * 33 + b"t", "an array is too large"),
        (b"C\x00", b"\x8a\x08" + bytes(7) + b"\x40\x85", "an array is too large"),
        (b"C\x00", b"K\x00\x8a\x08" + bytes(7) + b"\x40\x86", "an array is too large"),
        (b"C\x00", b"J\x00\x00\x01\x00" * 3 + b"\x87", "an array of 1,125,899,906,842,624 bytes has 0"),
        (b"C\x00", b"J\x00\x00\x00\x40" * 3 + b"\x87", "an array is too large"),
        (b"]", b"K\x02\x85", "bytes are neither bytes nor a text"),
        (b"N", b"K\x02\x85", "bytes are neither bytes nor a text"),
    ],
)
def test_an_array_has_exactly_its_bytes(content: bytes, shape: bytes, what: str) -> None:
    damaged(array(content, shape), what)


def test_no_bytes_make_many_arrays() -> None:
    """A text of 9,999 bytes is encoded, or an array of it made, 30,000 times."""
    text = b"X" + struct.pack("<I", 9996) + b"a" * 9996
    encoded = (
        b"\x80\x02c_codecs\nencode\nq\x00" + text + b"U\x06latin1\x86q\x01" + b"h\x00h\x01R" * 30_000 + b"."
    )
    arrays = array(text + b"q\x05", b"M\xc3\x09\x85")[:-1]
    again = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01M\xc3\x09\x85h\x00\x89h\x05tb"

    assert load(arrays + b".").shape == (2499,)
    for content in (encoded, arrays + again * 3000 + b"."):
        refused(content, "its arrays are larger than the file")


def test_a_list_of_pairs_is_used_once() -> None:
    pairs = b"](](U\x01aK\x01eeq\x05\x85q\x06"
    twice = b"\x80\x02(ccollections\nOrderedDict\nq\x04" + pairs + b"Rh\x04h\x06Rt."

    assert load(twice) == ({"a": 1}, {})


# --- shapes that hurt whoever walks through them


def bad_key(kind: str) -> str:
    return rf"a dictionary has a key that is too long or no text \({kind}\)"


def test_keys_are_quick_to_compare() -> None:
    refused(b"})Ns.", bad_key("tuple"))
    refused(b"}G" + bytes(8) + b"Ns.", bad_key("float"))
    refused(b"}NNs.", bad_key("NoneType"))
    refused(b"}J\xff\xff\xff\xffNs.", bad_key("int"))
    refused(b"}\x8a\x08" + bytes(7) + b"\x10Ns.", bad_key("int"))
    refused(b"}B" + struct.pack("<I", 10_001) + bytes(10_001) + b"Ns.", bad_key("bytes"))
    refused(b"}]Ns.", bad_key("list"))


def test_keys_are_there_once() -> None:
    refused(b"}(U\x01aNU\x01aNu.", "a dictionary has the key a twice")
    refused(b"(U\x01aNU\x01aNd.", "a dictionary has the key a twice")
    refused(b"}K\x01Ns\x88Ns.", "a dictionary has the key True twice")


def hash_bomb(levels: int) -> bytes:
    """Return opcodes of pairs of the pair before, twice: hashing the last takes 2**levels steps."""
    get = [b"h" + bytes([level]) for level in range(levels)]
    return b")q\x00" + b"".join(got * 2 + b"\x86q" + bytes([level + 1]) for level, got in enumerate(get))


@pytest.mark.parametrize("levels", [24, 60, 200])
def test_what_takes_long_to_hash_is_never_hashed(levels: int) -> None:
    bomb = b"\x80\x04(" + hash_bomb(levels)
    last = b"h" + bytes([levels])

    refused(bomb + b"}" + last + b"Ns.", bad_key("tuple"))
    damaged(bomb + last + last + b"\x93.", "a name is no text")
    damaged(bomb + b"cnumpy\ndtype\n" + last + b"\x85R.", "a number type has no name")
    damaged(bomb + FLOAT32[:-3].replace(b"U\x01<", last) + b"b.", "a number type has no byte order")
    refused(bomb + last + b")R.", "it calls a tuple")
    refused(bomb + last + b".", "it is nested more than 32 deep or has more than 400,000 values")


def test_circles_and_depth_are_bounded() -> None:
    too_deep = "it is nested more than 32 deep or has more than 400,000 values"
    refused(b"]q\x00h\x00a.", too_deep)
    refused(b"}q\x00U\x01ah\x00s.", too_deep)
    refused(b"]" * 40 + b"a" * 39 + b".", too_deep)
    refused(b")" + b"\x85" * 390_000 + b".", too_deep)
    refused(b"]" * 190_000 + b"a" * 189_999 + b".", too_deep)
    refused(b"](" + b"N" * 1000 + b"eq\x00](" + b"h\x00" * 1000 + b"e.", too_deep)
    deepest: list[Any] = []
    for _ in range(31):
        deepest = [deepest]
    assert load(pickle.dumps(deepest)) == deepest


def test_depth_takes_no_recursion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MAX_DEPTH", 10**9)

    found = load(b"}U\x01a" * 100_000 + b"}" + b"s" * 100_000 + b".")

    for _ in range(100_000):
        found = found["a"]
    assert found == {}


def test_sentences_stay_short_and_in_one_line() -> None:
    names = b"c" + b"a" * 999 + b"\n" + b"b" * 999 + b"\n"
    lines = b"\x80\x04" + short_text("o\ns\x1b[2J") + short_text("system") + b"\x93."
    keys = b"}(X" + struct.pack("<I", 9000) + b"k" * 9000 + b"q\x00Nh\x00Nu."

    refused(names, "it asks for a{60}\\.\\.\\.\\.b{60}\\.\\.\\., which could run code")
    refused(lines, r"it asks for o\\ns\\x1b\[2J\.system, which could run code")
    refused(keys, "a dictionary has the key k{60}\\.\\.\\. twice")
