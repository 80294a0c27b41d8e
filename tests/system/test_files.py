"""Tests of writing files: whole or not at all."""

from pathlib import Path

import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.system import files
from paddle_wrn.system.files import new_folder, write_atomically, write_text


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


def test_a_new_folder_appears_when_it_is_filled(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    with new_folder(place) as folder:
        (folder / "file").touch()
        assert not (tmp_path / "a").exists()
    assert [path.name for path in place.iterdir()] == ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert place.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_new_folder_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "a" / "b") as folder:
            (folder / "file").touch()
            raise error

    with pytest.raises(type(error)):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_appeared_meanwhile_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "a"

    def fill() -> None:
        with new_folder(place) as folder:
            (folder / "mine").touch()
            place.mkdir()
            (place / "theirs").touch()

    with pytest.raises(UserError, match="a: exists already"):
        fill()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["a", "a/theirs"]


def test_places_where_no_new_folder_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, words in (
        ("file", "exists already"),
        ("link", "exists already"),
        ("file/a", r"/file \(not a directory\)"),
    ):
        with pytest.raises(UserError, match=words), new_folder(tmp_path / name):
            pass

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryDirectory", refuse)
    with (
        pytest.raises(UserError, match=f"into {tmp_path} .permission denied"),
        new_folder(tmp_path / "a"),
    ):
        pass


def test_a_place_that_cannot_be_written_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    asked = tmp_path / "missing" / "page.html"
    with pytest.raises(FileNotFoundError) as caught:
        write_text(asked, "text")
    assert caught.value.filename == str(asked)
