"""Tests of checkpoints: whole or refused, and never anybody's code."""

import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import safetensors.numpy

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import Arrays, put_weights, weights_of
from paddle_wrn.runs import checkpoint
from paddle_wrn.runs.checkpoint import load_checkpoint, save_checkpoint

RECORD = {
    "kind": "model",
    "preprocessing": {"classes": ["Cockatoo", "蕉林莺"], "mean": (0.1, 0.2)},
    "epoch": 3,
}


def some_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "a.weight": rng.normal(size=(2, 3)).astype(np.float32),
        "a.steps": np.arange(4),
        "b": np.zeros(1, np.float32),
    }


def assert_equal(found: Arrays, expected: Arrays) -> None:
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert np.array_equal(found[name], value), name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a good checkpoint."""
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, some_arrays(), RECORD)
    return path


def test_what_was_saved_is_loaded(file: Path) -> None:
    arrays, record = load_checkpoint(file, "model")

    assert_equal(arrays, some_arrays())
    assert record["preprocessing"] == {"classes": ["Cockatoo", "蕉林莺"], "mean": [0.1, 0.2]}
    assert record["epoch"] == 3


def test_same_content_gives_same_bytes(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"

    save_checkpoint(again, dict(reversed(some_arrays().items())), dict(reversed(RECORD.items())))

    assert again.read_bytes() == file.read_bytes()


def test_a_checkpoint_is_a_plain_safetensors_file(file: Path) -> None:
    assert_equal(safetensors.numpy.load_file(file), some_arrays())


def test_a_checkpoint_replaces_the_one_before(file: Path) -> None:
    save_checkpoint(file, {"c": np.ones(2)}, {"kind": "model"})

    assert list(load_checkpoint(file, "model")[0]) == ["c"]
    assert list(file.parent.iterdir()) == [file]


def test_a_truncated_checkpoint_is_refused_at_every_length(file: Path) -> None:
    content = file.read_bytes()

    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"best\.safetensors: "):
            load_checkpoint(file, "model")


def test_a_flipped_bit_is_never_overlooked(file: Path) -> None:
    content = file.read_bytes()
    rng = np.random.default_rng(0)

    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        try:
            arrays, record = load_checkpoint(file, "model")
        except UserError as error:
            assert str(file) in str(error)  # noqa: PT017
        else:  # blanks between the parts of the header may change: they say nothing
            assert_equal(arrays, some_arrays())
            assert json.dumps(record) == json.dumps(record | RECORD)


@pytest.mark.parametrize("change", [("Cockatoo", "Cockatop"), ('epoch\\": 3', 'epoch\\": 4')])
def test_an_altered_record_is_refused(file: Path, change: tuple[str, str]) -> None:
    content = file.read_bytes()
    assert content.count(change[0].encode()) == 1

    file.write_bytes(content.replace(change[0].encode(), change[1].encode()))

    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(file, "model")


def test_another_kind_is_named(file: Path) -> None:
    with pytest.raises(UserError, match="found a 'model' checkpoint; a 'training' checkpoint is needed"):
        load_checkpoint(file, "training")


def test_another_format_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 7)

    with pytest.raises(UserError, match="has checkpoint format 1, this version reads 7"):
        load_checkpoint(file, "model")


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {"paddle_wrn": "{"}, {"paddle_wrn": "[1]"}, {"paddle_wrn": "3"}]
)
def test_a_foreign_safetensors_file_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"w": np.zeros(2)}, path, metadata)

    with pytest.raises(UserError, match=r"foreign\.safetensors: was not written by paddle_wrn"):
        load_checkpoint(path, "model")


def test_a_number_type_numpy_lacks_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "bf16.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))

    with pytest.raises(UserError, match=r"bf16\.safetensors"):
        read_weights(path)


@pytest.mark.parametrize("suffix", ["safetensors", "pdparams"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UserError, match=f"none.{suffix}: no such file"):
        read_weights(tmp_path / f"none.{suffix}")


@pytest.mark.parametrize("suffix", ["safetensors", "pdparams"])
def test_a_folder_is_no_weights(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"folder.{suffix}").mkdir()

    with pytest.raises(UserError, match=f"folder.{suffix}"):
        read_weights(tmp_path / f"folder.{suffix}")


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found the suffix '\.pth'; weights are \.safetensors or"):
        read_weights(tmp_path / "model.pth")


def test_weights_move_from_one_network_to_another(tmp_path: Path) -> None:
    paddle.seed(1)
    first = create_model("wrn_10_1", 4)
    first(paddle.randn([2, 3, 16, 16]))  # moves the running statistics
    second = create_model("wrn_10_1", 4)
    save_checkpoint(tmp_path / "w.safetensors", weights_of(first), {"kind": "model"})

    put_weights(second, read_weights(tmp_path / "w.safetensors"), "w")

    assert_equal(weights_of(second), weights_of(first))
    assert weights_of(second)["bn._mean"].any()


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64])
def test_weights_of_another_precision_are_converted(dtype: type) -> None:
    model = create_model("wrn_10_1", 4)
    rounded = {name: np.round(value * 64).astype(dtype) for name, value in weights_of(model).items()}

    put_weights(model, rounded, "file")

    assert_equal(weights_of(model), {name: value.astype(np.float32) for name, value in rounded.items()})


def without(arrays: Arrays, *names: str) -> Arrays:
    return {name: value for name, value in arrays.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: without(w, "fc.bias"), "fc.bias is missing$"),
        (lambda w: w | {"head.weight": np.zeros(3)}, "head.weight is not in the network$"),
        (lambda w: w | {"fc.bias": np.zeros(7, np.float32)}, r"fc.bias is \(7,\) instead of \(4,\)$"),
        (lambda w: without(w, *list(w)[:5]), "is missing, .* is missing, .* is missing and 2 more$"),
        (lambda w: {}, r"is missing and \d+ more$"),
    ],
)
def test_weights_of_another_network_are_refused(change: Any, message: str) -> None:
    model = create_model("wrn_10_1", 4)
    before = {name: value.copy() for name, value in weights_of(model).items()}

    with pytest.raises(UserError, match=f"^file: weights of another network: .*{message}"):
        put_weights(model, change(before), "file")

    assert_equal(weights_of(model), before)


def test_a_saved_state_dict_of_paddle_reads_equal(tmp_path: Path) -> None:
    model = create_model("wrn_10_1", 4)
    paddle.save(model.state_dict(), str(tmp_path / "model.pdparams"))

    assert_equal(read_weights(tmp_path / "model.pdparams"), weights_of(model))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])  # paddle.save takes 2 to 4
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickled_arrays_of_every_protocol_are_read(tmp_path: Path, protocol: int, order: Any) -> None:
    arrays = {
        "a.weight": np.asarray(some_arrays()["a.weight"], order=order),
        "b": np.arange(300, dtype=np.int64),
    }
    path = tmp_path / "old.pdparams"
    path.write_bytes(pickle.dumps(arrays, protocol=protocol))

    assert_equal(read_weights(path), arrays)


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
        ({"w": np.array([{"a": 1}, None], dtype=object)}, "w is no array of numbers"),
        ({"w": np.array(["text"])}, "w is no array of numbers"),
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


def test_bfloat16_weights_are_refused_instead_of_read_as_whole_numbers() -> None:
    model = create_model("wrn_10_1", 2)
    arrays = weights_of(model)
    arrays["fc.bias"] = arrays["fc.bias"].astype(np.uint16)  # as Paddle writes bfloat16
    with pytest.raises(UserError, match="bias holds bfloat16, save it as float32 first"):
        put_weights(model, arrays, "weights.pdparams")
