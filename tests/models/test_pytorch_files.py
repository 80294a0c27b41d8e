"""Tests of PyTorch's state dicts, in both formats; torch_files.py writes what `torch.save` writes."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from some_arrays import assert_equal
from torch_files import Call, Global, Persistent, TorchPickler, View, write_torch_file, zip_archive

from paddle_wrn.errors import UserError
from paddle_wrn.models.weight_files import read_weights

FORMATS = pytest.mark.parametrize("old", [True, False], ids=["old", "zip"])
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")
NO_HOOKS = Call(Global("collections", "OrderedDict"), ())
FLOATS = np.arange(6, dtype=np.float32)


def state_dict() -> OrderedDict[str, Any]:
    """Return tensors of all kinds."""
    rng = np.random.default_rng(0)
    tensors = OrderedDict[str, Any]()
    for dtype in ("f4", "f8", "f2", "i8", "i4", "i2", "i1", "u1", "?"):
        tensors[f"{dtype}.weight"] = (rng.normal(size=(2, 3, 4)) * 9).astype(dtype)
    tensors["transposed"] = rng.normal(size=(5, 7)).astype("f4").T
    tensors["permuted"] = rng.normal(size=(2, 3, 4, 5)).astype("f4").transpose(3, 1, 0, 2)
    tensors["number"] = np.array(3)
    tensors["none"] = np.zeros((0, 3), "f4")
    tensors["ones"] = np.ones((1, 1, 4, 1), "f4")
    tensors["large"] = rng.normal(size=70_000).astype("f4")
    return tensors


@FORMATS
@pytest.mark.parametrize("suffix", ["pth", "pt"])
def test_tensors_are_read(tmp_path: Path, old: bool, suffix: str) -> None:
    write_torch_file(tmp_path / f"w.{suffix}", state_dict(), old=old)

    found = read_weights(tmp_path / f"w.{suffix}")

    assert list(found) == list(state_dict())
    assert_equal(found, state_dict())
    assert not found["f4.weight"].flags.writeable


@FORMATS
def test_bfloat16_becomes_float32(tmp_path: Path, old: bool) -> None:
    values = np.array([1.0, -2.5, 0.0, np.inf, 3.0e38, 1e-40], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    write_torch_file(tmp_path / "w.pth", {"w": View(bits, 0, (2, 3), (3, 1))}, old=old)

    found = read_weights(tmp_path / "w.pth")["w"]

    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), values, rtol=2**-7, atol=1e-40)
    assert found.view(np.uint32).ravel().tolist() == [int(bit) << 16 for bit in bits]


@FORMATS
def test_views_share_their_numbers(tmp_path: Path, old: bool) -> None:
    numbers = np.arange(20, dtype=np.float32)
    tied = {"a": View(numbers, 0, (4, 5), (5, 1)), "b": View(numbers, 2, (3, 2), (4, 1))}
    write_torch_file(tmp_path / "w.pth", tied, old=old)

    found = read_weights(tmp_path / "w.pth")

    assert_equal(found, {"a": numbers.reshape(4, 5), "b": np.array([[2, 3], [6, 7], [10, 11]], np.float32)})
    assert np.shares_memory(found["a"], found["b"])


def test_the_other_byte_order_is_read(tmp_path: Path) -> None:
    write_torch_file(tmp_path / "w.pth", state_dict(), byte_order="big")

    assert_equal(read_weights(tmp_path / "w.pth"), state_dict())


@FORMATS
def test_parameters_are_their_tensors(tmp_path: Path, old: bool) -> None:
    parameter = Call(Global("torch._utils", "_rebuild_parameter"), (FLOATS, True, NO_HOOKS))
    write_torch_file(tmp_path / "w.pth", {"w": parameter}, old=old)

    assert_equal(read_weights(tmp_path / "w.pth"), {"w": FLOATS})


@FORMATS
@pytest.mark.parametrize("nest", ["state_dict", "model"])
def test_a_checkpoint_with_numbers_and_texts_around_will_do(tmp_path: Path, old: bool, nest: str) -> None:
    around = {"epoch": 3, "best": 0.5, "arch": "net", "none": None, "rates": [0.1, (1, {"a": True})]}
    write_torch_file(tmp_path / "w.pth", {**around, nest: state_dict()}, old=old)

    assert_equal(read_weights(tmp_path / "w.pth"), state_dict())


@FORMATS
def test_a_checkpoint_with_more_around_is_refused(tmp_path: Path, old: bool) -> None:
    checkpoint = {"state_dict": {"w": FLOATS}, "optimizer": {"state": [{"momentum": FLOATS}]}}
    write_torch_file(tmp_path / "w.pth", checkpoint, old=old)

    with pytest.raises(UserError, match=r"w\.pth: holds optimizer beside state_dict, which is more than "):
        read_weights(tmp_path / "w.pth")


@FORMATS
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([FLOATS], "found a list; a state dict is needed"),
        (FLOATS, "found a Tensor; a state dict is needed"),
        ({"w": FLOATS, "note": "text"}, "note is no tensor; a state dict holds tensors only"),
        ({"w": [FLOATS]}, "w is no tensor; "),
        ({3: FLOATS}, "3 is no tensor; "),
        ({"w": {"w": FLOATS}}, "w is no tensor; "),
    ],
)
def test_other_things_than_tensors_are_refused(tmp_path: Path, old: bool, content: Any, message: str) -> None:
    write_torch_file(tmp_path / "w.pth", content, old=old)

    with pytest.raises(UserError, match=rf"w\.pth: {message}"):
        read_weights(tmp_path / "w.pth")


@FORMATS
@pytest.mark.parametrize(
    "name",
    [
        ("os", "system"),
        ("torch.nn.modules.linear", "Linear"),
        ("torch", "UntypedStorage"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("__torch__", "Net"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ],
    ids="-".join,
)
def test_what_could_run_code_is_refused(tmp_path: Path, old: bool, name: tuple[str, str]) -> None:
    write_torch_file(tmp_path / "w.pth", {"w": Call(Global(*name), ("touch run",))}, old=old)

    with pytest.raises(UserError, match=rf"w\.pth: refused: it asks for {'.'.join(name)}, which could run"):
        read_weights(tmp_path / "w.pth")


# --- views


def view(offset: Any, shape: Any, strides: Any, *more: Any) -> Callable[[Persistent], Call]:
    return lambda storage: Call(REBUILD, (storage, offset, shape, strides, *more))


@FORMATS
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (view(1, (6,), (1,)), "refused: a tensor reaches beyond the 6 numbers of its storage"),
        (view(0, (7,), (1,)), "refused: a tensor reaches beyond the 6 numbers of its storage"),
        (view(0, (2, 3), (4, 1)), "refused: a tensor reaches beyond"),
        (view(0, (3,), (3,)), "refused: a tensor reaches beyond"),
        (view(6, (), ()), "refused: a tensor reaches beyond"),
        (view(2**62, (1,), (1,)), "refused: a tensor reaches beyond"),
        (view(0, (2,), (2**64,)), "refused: a tensor reaches beyond"),
        (view(0, (10**6, 10**6), (0, 0)), "refused: a tensor reaches beyond"),  # one number, again and again
        (view(5, (6,), (-1,)), "refused: a tensor goes backwards through its storage"),
        (view(-1, (2,), (1,)), "refused: a tensor goes backwards through its storage"),
        (view(0, (2,), (True,)), "refused: a tensor goes backwards through its storage"),
        (view(0, (-2,), (1,)), "the file is damaged or no pickle .an array has no shape"),
        (view(0, (2**32, 2**32), (2**32, 1)), "the file is damaged or no pickle .an array is too large"),
        (view(0, (2**32, 0, 2**32), (0, 0, 0)), "the file is damaged or no pickle .an array is too large"),
        (view(0, (1,) * 33, (1,) * 33), "the file is damaged or no pickle .an array is too large"),
        (view(0, (2, 3), (1,)), "the file is damaged or no pickle .a tensor is no view of a storage"),
        (view(0, (2, 3), "ab"), "the file is damaged or no pickle .a tensor is no view of a storage"),
        (lambda storage: Call(REBUILD, ("text", 0, (1,), (1,))), "the file is .*a tensor is no view"),
        (lambda storage: Call(REBUILD, (storage,)), "the file is damaged or no pickle .something is wrong"),
        (view(0, (6,), (1,), False, None, {"conj": True}), "refused: a tensor is to be conjugated or neg"),
    ],
)
def test_a_view_is_inside_of_its_storage(tmp_path: Path, old: bool, make: Any, message: str) -> None:
    pickler_storage = View(FLOATS, 0, (6,), (1,))  # so that there is a storage
    write_made(tmp_path / "w.pth", lambda storage: {"a": pickler_storage, "w": make(storage)}, old)

    with pytest.raises(UserError, match=rf"w\.pth: {message}"):
        read_weights(tmp_path / "w.pth")


def write_made(path: Path, make: Callable[[Persistent], Any], old: bool, **change: Any) -> None:
    """Write a file whose content is made of the persistent id of the storage of `FLOATS`."""
    facts = {"kind": "storage", "type": Global("torch", "FloatStorage"), "key": "1000" if old else "0"}
    facts = {**facts, "place": "cpu", "size": 6, **({"view": None} if old else {}), **change}
    write_torch_file(path, make(Persistent(tuple(facts.values()))), old=old)


@FORMATS
@pytest.mark.parametrize("strides", [(0, 3, 1), (2**70, 3, 1)])
def test_the_stride_of_a_single_row_is_of_no_account(
    tmp_path: Path, old: bool, strides: tuple[int, ...]
) -> None:
    write_torch_file(tmp_path / "w.pth", {"w": View(FLOATS, 0, (1, 2, 3), strides)}, old=old)

    assert_equal(read_weights(tmp_path / "w.pth"), {"w": FLOATS.reshape(1, 2, 3)})


@FORMATS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "module"}, "refused: it asks for something else than a storage of numbers"),
        (
            {"type": Global("collections", "OrderedDict")},
            "refused: it asks for something else than a storage",
        ),
        ({"type": "FloatStorage"}, "refused: it asks for something else than a storage"),
        ({"type": Global("torch", "ComplexFloatStorage")}, "refused: it asks for torch.ComplexFloatStorage"),
        ({"key": 0}, "the file is damaged or no pickle .a storage has no key or size"),
        ({"size": -1}, "the file is damaged or no pickle .a storage has no key or size"),
        ({"size": 7}, "the file is damaged or no pickle .the storage (0|1000) has two types or sizes"),
        (
            {"type": Global("torch", "IntStorage")},
            "the file is .*the storage (0|1000) has two types or sizes",
        ),
        ({"view": ("1000", 0, 6)}, "the file is damaged or no pickle .a storage has no key or size"),
        ({"key": "../../etc/passwd"}, "the file is damaged or cut short .(it has no member|other storages)"),
    ],
)
def test_a_storage_is_one_of_the_file(tmp_path: Path, old: bool, change: Any, message: str) -> None:
    tensor = View(FLOATS, 0, (6,), (1,))
    make = view(0, (6,), (1,))
    write_made(tmp_path / "w.pth", lambda storage: {"a": tensor, "w": make(storage)}, old, **change)

    with pytest.raises(UserError, match=rf"w\.pth: {message}"):
        read_weights(tmp_path / "w.pth")


@FORMATS
def test_few_numbers_are_not_shared_by_many_tensors(tmp_path: Path, old: bool) -> None:
    numbers = np.zeros(1000, np.float32)
    for count in (2, 3):
        tensors = {str(index): View(numbers, 0, (1000,), (1,)) for index in range(count)}
        write_torch_file(tmp_path / f"{count}.pth", tensors, old=old)

    assert len(read_weights(tmp_path / "2.pth")) == 2
    with pytest.raises(UserError, match=r"3\.pth: refused: its tensors share their numbers too often"):
        read_weights(tmp_path / "3.pth")


# --- the old format


def old_file(**parts: bytes) -> bytes:
    """Return a file of one tensor in the old format, some parts of which are others."""
    pickler = TorchPickler(old=True)
    content = pickler.dumps({"w": FLOATS})
    whole = {
        "magic": pickle.dumps(0x1950A86A20F9469CFC6C, 2),
        "version": pickle.dumps(1001, 2),
        "facts": pickle.dumps({"little_endian": True}, 2),
        "content": content,
        "keys": pickle.dumps(list(pickler.storages), 2),
        "size": struct.pack("<q", 6),
        "storage": FLOATS.tobytes(),
    }
    return b"".join({**whole, **parts}.values())


def refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path.name}: {message}") as raised:
        read_weights(path)
    assert len(str(raised.value)) < 500


def test_parts_of_the_old_format_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(old_file())
    assert_equal(read_weights(path), {"w": FLOATS})

    not_pytorchs = "not written by PyTorch's torch.save; give a state dict that it has saved"
    damaged = "the file is damaged or cut short"
    refused(path, old_file(magic=pickle.dumps(5, 2)), not_pytorchs)
    refused(path, old_file(version=pickle.dumps(1002, 2)), not_pytorchs)
    refused(path, pickle.dumps({"w": FLOATS}), not_pytorchs)
    refused(path, pickle.dumps(FLOATS), not_pytorchs)
    refused(path, b"no pickle", "the file is damaged or no pickle")
    refused(path, old_file(keys=pickle.dumps("1000", 2)), f"{damaged} .no list of its storages")
    refused(path, old_file(keys=pickle.dumps([1000], 2)), f"{damaged} .no list of its storages")
    refused(path, old_file(keys=pickle.dumps([], 2)), f"{damaged} .other storages than its tensors need")
    refused(path, old_file(keys=pickle.dumps(["1000"] * 2, 2)), f"{damaged} .other storages than its tens")
    refused(path, old_file(keys=pickle.dumps(["1000", "1001"], 2)), f"{damaged} .other storages than")
    refused(path, old_file(size=struct.pack("<q", 7)), f"{damaged} .the storage 1000 has another size")
    refused(path, old_file(size=struct.pack("<q", -6)), f"{damaged} .the storage 1000 has another size")
    refused(path, old_file(storage=bytes(23)), f"{damaged} .the storage 1000 has another size")
    refused(path, old_file(storage=bytes(25)), f"{damaged} .1 bytes behind the last storage")


def test_a_storage_larger_than_the_file_takes_no_memory(tmp_path: Path) -> None:
    storage = ("storage", Global("torch", "FloatStorage"), "1000", "cpu", 2**60, None)
    content = TorchPickler(old=True).dumps({"w": Call(REBUILD, (Persistent(storage), 0, (6,), (1,)))})

    refused(
        tmp_path / "w.pth",
        old_file(content=content, size=struct.pack("<q", 2**60)),
        "the file is damaged or cut short .the storage 1000 has another size",
    )


# --- the zip format


def members(**changes: bytes) -> dict[str, bytes]:
    """Return the members of a file of one tensor; changes go by name without slash and dot."""
    pickler = TorchPickler(old=False)
    whole = {
        "w/data.pkl": pickler.dumps({"w": FLOATS}),
        "w/byteorder": b"little",
        "w/data/0": FLOATS.tobytes(),
        "w/version": b"3\n",
    }
    return {**whole, **{name.replace("__", "/"): content for name, content in changes.items()}}


def test_parts_of_the_zip_format_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(zip_archive(members()))
    assert_equal(read_weights(path), {"w": FLOATS})

    damaged = "the file is damaged or cut short"
    whole = members()
    without_storage = {name: content for name, content in whole.items() if name != "w/data/0"}
    without_pickle = {name: content for name, content in whole.items() if name != "w/data.pkl"}
    refused(path, zip_archive(without_storage), f"{damaged} .it has no member data/0")
    refused(path, zip_archive(without_pickle), "not written by PyTorch's torch.save; give a state dict")
    refused(path, zip_archive(members(w__byteorder=b"middle")), f"{damaged} .an unknown byte order")
    refused(path, zip_archive(members(w__data__0=bytes(20))), f"{damaged} .the storage 0 has another size")
    refused(path, zip_archive(members(w__data__0=bytes(28))), f"{damaged} .the storage 0 has another size")
    refused(path, zip_archive({}), "not written by PyTorch's torch.save; give a state dict")
    without_order = {name: content for name, content in whole.items() if name != "w/byteorder"}
    path.write_bytes(zip_archive(without_order))  # as PyTorch 1.6 to 1.13 wrote
    assert_equal(read_weights(path), {"w": FLOATS})


@pytest.mark.parametrize(
    "name", ["../w/evil", "v/data.pkl", "/etc/passwd", "data.pkl", "w/", "w/../../x", "w"]
)
def test_members_are_where_pytorch_puts_them(tmp_path: Path, name: str) -> None:
    refused(
        tmp_path / "w.pth",
        zip_archive({**members(), name: b"x"}),
        rf"refused: its member {name} is not where PyTorch puts one",
    )


def test_a_member_is_there_once(tmp_path: Path) -> None:
    twice = zip_archive({**members(), "w/data/1": b"x"}).replace(b"w/data/1", b"w/data/0")

    refused(tmp_path / "w.pth", twice, "refused: its member w/data/0 is not where PyTorch puts one")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused(tmp_path: Path, method: int) -> None:
    """So no file becomes larger than it is."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as opened:
        for name, content in members(w__data__0=bytes(10**7)).items():
            opened.writestr(name, content)

    refused(
        tmp_path / "w.pth",
        archive.getvalue(),
        "refused: its member w/data.pkl is compressed or encrypted; let torch.save write it",
    )
    refused(
        tmp_path / "w.pth", zip_archive(members(), method), "refused: its member w/data.pkl is compressed"
    )


def test_an_archive_packed_again_without_compression_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as opened:
        for name, content in members().items():
            opened.writestr(name, content)

    assert_equal(read_weights(tmp_path / "w.pth"), {"w": FLOATS})


def field(archive: bytes, signature: bytes, offset: int, size: int, value: int) -> bytes:
    """Return the archive with another number at this offset from a signature's last place."""
    place = archive.rindex(signature) + offset
    return archive[:place] + value.to_bytes(size, "little") + archive[place + size :]


def test_headers_that_lie_are_found_out(tmp_path: Path) -> None:
    path, archive, damaged = tmp_path / "w.pth", zip_archive(members()), "the file is damaged or cut short"
    end, entry = b"PK\5\6", b"PK\1\2"
    refused(
        path, field(archive, end, 12, 4, 2**32 - 1), f"{damaged} .a table of contents of 4,294,967,295 bytes"
    )
    refused(path, field(archive, end, 12, 4, 10**7), f"{damaged} .a table of contents of 10,000,000 bytes")
    refused(path, field(archive, end, 12, 4, 10), f"{damaged} .its table of contents is wrong")
    refused(path, field(archive, end, 16, 4, 7), f"{damaged} .its table of contents is wrong")
    refused(path, field(archive, entry, 0, 4, 0), f"{damaged} .its table of contents is wrong")
    refused(path, field(archive, entry, 28, 2, 60_000), f"{damaged} .its table of contents is wrong")
    refused(path, field(archive, entry, 24, 4, 10**6), "refused: its member w/version is compressed")
    grown = field(field(archive, entry, 24, 4, 10**6), entry, 20, 4, 10**6)
    refused(path, grown, f"{damaged} .its members are larger than the file")
    refused(path, field(archive, entry, 8, 2, 1), "refused: its member w/version is compressed or encrypted")
    refused(path, archive + b"x", f"{damaged} .the end of the zip archive is missing")
    refused(path, archive[:-1], f"{damaged} .the end of the zip archive is missing")
    refused(path, b"PK\3\4", f"{damaged} .the end of the zip archive is missing")


def test_a_member_that_is_elsewhere_is_missing(tmp_path: Path) -> None:
    damaged = "the file is damaged or cut short"
    last = dict(reversed(members().items()))  # so that data.pkl has the last entry
    archive, entry = zip_archive(last), b"PK\1\2"

    for place in (5, len(archive) - 10, 2**32 - 1):
        moved = field(archive, entry, 42, 4, place)
        refused(tmp_path / "w.pth", moved, f"{damaged} .its member data.pkl is missing")
    changed = archive.replace(b"FloatStorage", b"FloatStoragf")
    refused(tmp_path / "w.pth", changed, f"{damaged} .the checksum of its member data.pkl does not match")


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    """A small file whose members all are the same bytes could be as large as it likes otherwise."""
    large = zip_archive({"w/data.pkl": b".", **{f"w/data/{index}": bytes(5000) for index in range(5)}})
    table = large.index(b"PK\1\2")
    place = large.rindex(b"PK\3\4")
    entries = large[table : large.rindex(b"PK\6\6")]
    moved = b"".join(
        b"PK\1\2" + entry[:38] + struct.pack("<I", 0) + entry[42:] for entry in entries.split(b"PK\1\2")[1:]
    )
    overlapping = large[: place // 3] + moved
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 6, 6, len(moved), place // 3, 0)

    refused(tmp_path / "w.pth", overlapping + end, "the file is .*its members are larger than the file")


def test_a_table_of_many_members_is_bounded(tmp_path: Path) -> None:
    table = b"".join(
        b"PK\1\2" + bytes(24) + struct.pack("<H", 8) + bytes(16) + b"a/%06x" % index
        for index in range(200_000)
    )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0, 0, len(table), 4, 0)

    refused(
        tmp_path / "w.pth", b"PK\3\4" + table + end, "the file is .*a table of contents of 10,800,000 bytes"
    )
