"""Tests of writing files: whole or not at all."""

from pathlib import Path

import pytest

from paddle_wrn import files
from paddle_wrn.files import write_atomically, write_text


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    place = tmp_path / "metrics.json"
    place.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("ne")
        raise error

    with pytest.raises(type(error)):
        write_atomically(place, write)

    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_the_place_never_holds_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "text"
    write_text(place, "old")
    seen = []

    def fsync(_: int) -> None:
        seen.append((place.read_text(), sorted(path.stat().st_size for path in tmp_path.iterdir())))

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_text(place, "newer")

    assert seen == [("old", [3, 5])]  # flushed when complete, while the old file is still there
    assert place.read_text() == "newer"


def test_text_is_utf_8_with_unix_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "classes.txt", "蕉林莺\nCockatoo\n")

    assert (tmp_path / "classes.txt").read_bytes() == "蕉林莺\nCockatoo\n".encode()
