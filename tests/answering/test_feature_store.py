"""Tests of features on disk: kept, found again, never wrong."""

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from paddle_wrn.answering.feature_store import FeatureStore
from paddle_wrn.errors import UserError


def some(*photos: str) -> dict[str, np.ndarray]:
    return {photo: np.float32([ord(photo[0]), 0.1, -1e-30]) for photo in photos}


def test_what_was_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    written = some("a", "b", "c")
    FeatureStore("key", tmp_path / "new").write(written)
    found = FeatureStore("key", tmp_path / "new").read(["c", "missing", "a"], 3)
    assert sorted(found) == ["a", "c"]
    assert all(np.array_equal(found[photo], written[photo]) for photo in found)
    assert found["a"].dtype == np.float32
    assert FeatureStore("other", tmp_path / "new").read(["a"], 3) == {}


def test_more_photos_than_a_query_takes(tmp_path: Path) -> None:
    store = FeatureStore("key", tmp_path)
    names = [f"{number:04}" for number in range(1234)]
    store.write(some(*names))
    assert sorted(store.read(names, 3)) == names


def test_reading_makes_no_file(tmp_path: Path) -> None:
    assert FeatureStore("key", tmp_path / "nothing").read(["a"], 3) == {}
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("damage", ["text", "cut", "flipped", "another table", "other width"])
def test_damaged_features_are_computed_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore("key", tmp_path)
    store.write(some("a", "b"))
    content = store.file.read_bytes()
    if damage == "text":
        store.file.write_text("no database")
    elif damage == "cut":
        store.file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        at = content.index(np.float32(0.1).tobytes())
        store.file.write_bytes(content[:at] + b"\x00" + content[at + 1 :])
    elif damage == "another table":
        store.file.unlink()
        with sqlite3.connect(store.file) as database:
            database.execute("CREATE TABLE features (something TEXT)")
        database.close()
    monkeypatch.setattr("paddle_wrn.answering.feature_store._log.propagate", True)
    with caplog.at_level("INFO", "paddle_wrn"):
        assert store.read(["a", "b"], 4 if damage == "other width" else 3) == {}
    assert f"{store.file} is damaged" in caplog.text
    store.write(some("a"))
    assert sorted(store.read(["a", "b"], 3)) == ["a"]


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore("key", tmp_path)

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("paddle_wrn.answering.feature_store.sqlite3.connect", full)
    with pytest.raises(UserError, match=r"cannot be kept there \(database or disk is full\); free"):
        store.write(some("a"))


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="features cannot be kept there"):
        FeatureStore("key", tmp_path / "file" / "folder").write(some("a"))


def test_two_programs_write_at_once(tmp_path: Path) -> None:
    def fill(letter: str) -> None:
        store = FeatureStore("key", tmp_path)
        for number in range(30):
            store.write(some(f"{letter}{number}"))

    writers = [threading.Thread(target=fill, args=(letter,)) for letter in "xy"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    names = [f"{letter}{number}" for letter in "xy" for number in range(30)]
    assert sorted(FeatureStore("key", tmp_path).read(names, 3)) == sorted(names)


def test_by_default_it_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert FeatureStore("key").file == tmp_path / "paddle_wrn" / "features" / "key.sqlite"
