"""Tests of reading pickles that anybody may have made; what they try is in test_checkpoint.py."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.models.safe_pickle import load_arrays_pickle


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, bool])
def test_what_data_is_made_of_is_read(protocol: int, dtype: type[Any]) -> None:
    content: dict[str, Any] = {
        "data": np.arange(6).reshape(2, 3).astype(dtype),
        "labels": [1, 2],
        "more": ("a", 0.5, None),
    }

    found = load_arrays_pickle(io.BytesIO(pickle.dumps(content, protocol)), "file")

    assert found.keys() == content.keys()
    assert found["labels"] == [1, 2]
    assert found["more"] == ("a", 0.5, None)
    assert found["data"].dtype == dtype
    assert np.array_equal(found["data"], content["data"])


def test_python_2s_byte_strings_become_texts() -> None:
    found = load_arrays_pickle(io.BytesIO(b"\x80\x02}q\x00U\x04dataU\x03\xe9\xff\x00s."), "file")

    assert found == {"data": "\xe9\xff\x00"}


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02}q\x00U\x04da", b"\x80\xff."])
def test_what_is_no_pickle_is_named(content: bytes) -> None:
    with pytest.raises(UserError, match=r"^a/b: the file is damaged or no pickle \("):
        load_arrays_pickle(io.BytesIO(content), Path("a/b"))


def test_what_else_is_asked_for_is_named() -> None:
    with pytest.raises(
        UserError, match=r"^file: refused: it asks for pathlib.*Path, which could run code; only"
    ):
        load_arrays_pickle(io.BytesIO(pickle.dumps(Path("x"))), "file")
