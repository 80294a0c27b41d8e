"""Tests of checkpoints: whole or refused, and never anybody's code."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from some_arrays import assert_equal, some_arrays

from paddle_wrn.errors import UserError
from paddle_wrn.runs import checkpoint
from paddle_wrn.runs.checkpoint import load_checkpoint, save_checkpoint

RECORD = {
    "kind": "model",
    "preprocessing": {"classes": ["Cockatoo", "蕉林莺"], "mean": (0.1, 0.2)},
    "epoch": 3,
}


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
