"""Tests of files of weights: Paddle's and safetensors; PyTorch's are in test_pytorch_files.py."""

import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from some_arrays import assert_equal, some_arrays

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model, weight_files
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import weights_of


def test_a_number_type_numpy_lacks_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "bf16.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))

    with pytest.raises(
        UserError, match=r"bf16\.safetensors: has numbers of a type that NumPy lacks .*float32"
    ):
        read_weights(path)


SUFFIXES = ["safetensors", "pdparams", "pth", "pt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UserError, match=f"none.{suffix}: no such file"):
        read_weights(tmp_path / f"none.{suffix}")


NOT_A_FILE = "a folder, pipe or device; weights are read from files$"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_is_no_weights(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"folder.{suffix}").mkdir()

    with pytest.raises(UserError, match=rf"folder\.{suffix}: {NOT_A_FILE}"):
        read_weights(tmp_path / f"folder.{suffix}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_not_waited_for(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"pipe.{suffix}")

    with pytest.raises(UserError, match=rf"pipe\.{suffix}: {NOT_A_FILE}"):
        read_weights(tmp_path / f"pipe.{suffix}")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs such a device")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_device_is_not_read(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"device.{suffix}").symlink_to("/dev/zero")

    with pytest.raises(UserError, match=rf"device\.{suffix}: {NOT_A_FILE}"):
        read_weights(tmp_path / f"device.{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_end_is_not_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"huge.{suffix}"
    with path.open("wb") as file:
        file.truncate(10**12)  # takes no room on the disk

    with pytest.raises(UserError, match=r"1,000,000,000,000 bytes; files of weights may have 600,000,000$"):
        read_weights(path)


@pytest.mark.parametrize("name", ["a\0b.pth", "a" * 300 + ".pth", "file/a.pth"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UserError, match=r"\.pth: cannot be read \(.*\); check the path$"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"empty.{suffix}").touch()

    with pytest.raises(UserError, match=rf"empty\.{suffix}: the file is damaged or .*; use another copy$"):
        read_weights(tmp_path / f"empty.{suffix}")


def test_what_does_not_fit_into_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(weight_files, "load_arrays_pickle", no_memory)
    (tmp_path / "w.pdparams").touch()

    with pytest.raises(UserError, match=r"w\.pdparams: the weights do not fit into memory"):
        read_weights(tmp_path / "w.pdparams")


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found the suffix '\.h5'; weights are \.safetensors, \.pdparams, "):
        read_weights(tmp_path / "model.h5")


def test_a_large_header_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", 10**7) + b"{" * 10**7)

    with pytest.raises(UserError, match=r"no safetensors file \(a header of 10,000,000 bytes\); use another"):
        read_weights(path)


def test_a_long_name_in_a_header_is_shortened(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "x" * 10**6, "shape": [0], "data_offsets": [0, 0]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)

    with pytest.raises(UserError, match="damaged or cut short") as raised:
        read_weights(path)

    assert len(str(raised.value).removeprefix(str(path))) < 250


def test_a_saved_state_dict_of_paddle_reads_equal(tmp_path: Path) -> None:
    model = create_model("wrn_10_1", 4)
    paddle.save(model.state_dict(), str(tmp_path / "model.pdparams"))

    assert_equal(read_weights(tmp_path / "model.pdparams"), weights_of(model))


@pytest.mark.parametrize("protocol", range(6))  # paddle.save takes 2 to 4
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickled_arrays_of_every_protocol_are_read(tmp_path: Path, protocol: int, order: Any) -> None:
    arrays = {
        "a.weight": np.asarray(some_arrays()["a.weight"], order=order),
        "b": np.arange(300, dtype=np.int64),
    }
    path = tmp_path / "old.pdparams"
    path.write_bytes(pickle.dumps(arrays, protocol=protocol))

    assert_equal(read_weights(path), arrays)


def test_single_tensors_come_with_their_own_name(tmp_path: Path) -> None:
    path = tmp_path / "tensor.pdparams"
    path.write_bytes(pickle.dumps({"w": ("conv_0.w_0", np.ones(2)), "b": ("conv_0.b_0", np.ones(3))}))

    assert_equal(read_weights(path), {"w": np.ones(2), "b": np.ones(3)})


def test_paddles_note_about_names_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "noted.pdparams"
    arrays = {"w": np.ones(2)}
    path.write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": {"w": "conv_0.w_0"}}))

    assert_equal(read_weights(path), arrays)


class Calls:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def global_call(module: str, name: str, argument: str) -> bytes:
    """Return a pickle, written by hand, that calls `module.name(argument)`."""
    return b"c" + f"{module}\n{name}\n(V{argument}\ntR.".encode()


def stacked_call(module: str, name: str, argument: str) -> bytes:
    """Return the same with the opcode of newer protocols, which can reach attributes of attributes."""
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"\x80\x04" + texts + b"\x93\x8c" + bytes([len(argument)]) + argument.encode() + b"\x85R."


@pytest.mark.parametrize("trick", range(12))
def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path, trick: int) -> None:
    sentinel = tmp_path / "executed"
    shell, python = f"touch {sentinel}", f"open({str(sentinel)!r}, 'w')"
    pickles = [
        pickle.dumps({"w": Calls(os.system, shell)}),
        pickle.dumps({"w": Calls(os.system, shell)}, protocol=2),
        pickle.dumps({"w": Calls(eval, python)}),
        pickle.dumps({"w": Calls(exec, python)}, protocol=0),
        pickle.dumps({"w": Calls(getattr, np.ndarray, "tofile")}),
        pickle.dumps([Calls(open, str(sentinel), "w")]),
        pickle.dumps({"w": Calls(np.save, str(sentinel), np.ones(1))}),
        pickle.dumps({"w": Calls(np.ones(1).tofile, str(sentinel))}),
        global_call("posix", "system", shell),
        global_call("builtins", "eval", python),
        stacked_call("numpy", "ndarray.tofile", str(sentinel)),
        stacked_call("collections", "_sys.modules", str(sentinel)),
    ]
    path = tmp_path / "evil.pdparams"
    path.write_bytes(pickles[trick])

    with pytest.raises(UserError, match=r"evil\.pdparams: refused: it asks for .*could run code"):
        read_weights(path)

    assert not sentinel.exists()


def test_the_tricks_would_work_on_a_plain_unpickler(tmp_path: Path) -> None:
    sentinel = tmp_path / "executed"

    pickle.loads(global_call("posix", "system", f"touch {sentinel}"))
    assert sentinel.exists()
    assert pickle.loads(stacked_call("os", "path.basename", "a/b")) == "b"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"w": np.array([{"a": 1}, None], dtype=object)}, "refused: it has an array of type O8; "),
        ({"w": np.array(["text"])}, "refused: it has an array of type U4; "),
        ({"w": np.zeros(2, complex)}, "refused: it has an array of type c16; "),
        ({"w": np.zeros(2, [("a", "f4")])}, "refused: it has an array of type V4; "),
        ({3: np.zeros(2)}, "3 is no array of numbers"),
        ({"w": [1.0, 2.0]}, "w is no array of numbers"),
        ({"w": 3}, "w is no array of numbers"),
        ([np.zeros(2)], "found a list; a dictionary of arrays is needed"),
        (None, "found a NoneType; a dictionary of arrays is needed"),
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "odd.pdparams"
    path.write_bytes(pickle.dumps(content, protocol=4))

    with pytest.raises(UserError, match=rf"odd\.pdparams: {message}"):
        read_weights(path)


def test_a_damaged_pickle_is_refused_or_reads_as_arrays(tmp_path: Path) -> None:
    content = pickle.dumps(some_arrays(), protocol=4)
    path = tmp_path / "damaged.pdparams"
    rng = np.random.default_rng(0)

    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"damaged\.pdparams"):
            read_weights(path)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            arrays = read_weights(path)
        except UserError:
            continue
        assert all(isinstance(value, np.ndarray) and value.dtype.kind in "fiub" for value in arrays.values())
