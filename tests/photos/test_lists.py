"""Tests of the lists and of the folder they are in."""

from pathlib import Path

import numpy as np
import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import read_classes, read_data_folder, read_list


def write(folder: Path, **files: str | bytes) -> Path:
    """Write `name=content` as name.txt."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.txt").write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


# --- one list


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        ("a.jpg 0", "a.jpg", 0),
        ("a.jpg\t1", "a.jpg", 1),
        ("a.jpg   2", "a.jpg", 2),
        ("a.jpg 2  ", "a.jpg", 2),
        ("a.jpg\t \t2", "a.jpg", 2),
        ("Black Skimmer/1 (2).jpg 12", "Black Skimmer/1 (2).jpg", 12),
        ("蕉林莺/图 1.jpg 3", "蕉林莺/图 1.jpg", 3),
        ("a\tb/c d.jpg 1", "a\tb/c d.jpg", 1),
        ("a b\tc.jpg\t1", "a b\tc.jpg", 1),
        ("../photos/x.jpg 0", "../photos/x.jpg", 0),
        ("2 3 4", "2 3", 4),
        (" leading.jpg 0", " leading.jpg", 0),
        ("line\u2028separator\x85.jpg 0", "line\u2028separator\x85.jpg", 0),
        ("a.jpg 007", "a.jpg", 7),
    ],
)
def test_a_line_is_a_path_and_a_label(tmp_path: Path, line: str, path: str, label: int) -> None:
    found = read_list(write(tmp_path, train=line + "\n") / "train.txt")

    assert found.paths == (tmp_path / path,)
    assert found.labels.tolist() == [label]
    assert found.labels.dtype == np.int64


def test_the_tutorials_absolute_paths_are_kept(tmp_path: Path) -> None:
    lines = "/home/aistudio/work/bird_photos/Black Skimmer/1.jpg 1\n/data/Cockatoo/2.jpg 3\n"

    found = read_list(write(tmp_path, train=lines) / "train.txt")

    assert [str(path) for path in found.paths] == [
        "/home/aistudio/work/bird_photos/Black Skimmer/1.jpg",
        "/data/Cockatoo/2.jpg",
    ]
    assert found.labels.tolist() == [1, 3]


@pytest.mark.parametrize(
    "content",
    [
        b"a.jpg 0\nb.jpg 1\n",
        b"a.jpg 0\nb.jpg 1",
        b"\xef\xbb\xbfa.jpg 0\nb.jpg 1\n",
        b"a.jpg 0\r\nb.jpg 1\r\n",
        b"\n\na.jpg 0\n  \n\t\nb.jpg 1\n\n",
        b"\xef\xbb\xbf\r\na.jpg\t0\r\n\r\nb.jpg\t1",
    ],
)
def test_byte_order_mark_line_ends_and_blank_lines_do_not_matter(tmp_path: Path, content: bytes) -> None:
    found = read_list(write(tmp_path, train=content) / "train.txt")

    assert [path.name for path in found.paths] == ["a.jpg", "b.jpg"]
    assert found.labels.tolist() == [0, 1]
    assert len(found) == 2


def test_where_counts_blank_lines_too(tmp_path: Path) -> None:
    found = read_list(write(tmp_path, train="\na.jpg 0\n\n\nb.jpg 1\n") / "train.txt")

    assert [found.where(i) for i in (0, 1)] == [f"{tmp_path / 'train.txt'}, line {n}" for n in (2, 5)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg", "found 'a.jpg'; `path label` is needed"),
        ("3", "found '3'; `path label` is needed"),
        (" 3", "`path label` is needed"),
        ("\t3", "`path label` is needed"),
        ("a.jpg bird", "found 'bird' as the label; a number from 0"),
        ("a.jpg -1", "found '-1' as the label"),
        ("a.jpg 1.0", "found '1.0' as the label"),
        ("a.jpg ²", "found '²' as the label"),
        ("0 a b.jpg", "found 'b.jpg' as the label"),
        ("a.jpg 3", "label 3 is out of range; classes.txt has labels 0 to 2"),
        ("a.jpg 999999999", "is out of range"),
        ("a.jpg " + "9" * 5000, f"found '{'9' * 40}' as the label"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path, train=f"good.jpg 0\n\n{line}\ngood.jpg 1\n") / "train.txt"

    with pytest.raises(UserError, match=f"^{file}, line 3: .*{message}"):
        read_list(file, num_classes=3)


@pytest.mark.parametrize("reader", [read_list, read_classes])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_another_encoding_is_named(tmp_path: Path, reader: object, encoding: str) -> None:
    file = write(tmp_path, train="蕉林莺/1.jpg 0\n".encode(encoding)) / "train.txt"

    with pytest.raises(UserError, match=f"{file}: not UTF-8 text; save it as UTF-8"):
        reader(file)


@pytest.mark.parametrize("reader", [read_list, read_classes])
def test_a_missing_file_is_named(tmp_path: Path, reader: object) -> None:
    with pytest.raises(UserError, match=r"none\.txt: no such file"):
        reader(tmp_path / "none.txt")


# --- classes.txt


def test_classes_have_a_name_and_maybe_a_display_name(tmp_path: Path) -> None:
    text = "\ufeffBananaquit\t蕉林莺\r\nBlack Skimmer\r\n蓝 鸟\t\r\n"

    classes = read_classes(write(tmp_path, classes=text) / "classes.txt")

    assert classes.names == ("Bananaquit", "Black Skimmer", "蓝 鸟")
    assert classes.display_names == ("蕉林莺", "Black Skimmer", "蓝 鸟")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\nb\n", "line 2: found an empty line"),
        ("a\n\tdisplay only\n", "line 2: found an empty line"),
        ("a\nb\na\n", "line 3: class 'a' stands there twice"),
        ("a\na\tother\n", "line 2: class 'a' stands there twice"),
        ("\n", "line 1: found an empty line"),
        ("", "empty"),
    ],
)
def test_bad_classes_are_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, classes=text) / "classes.txt"

    with pytest.raises(UserError, match=f"^{file}.*{message}"):
        read_classes(file)


# --- the folder


def test_a_data_folder_is_classes_and_lists(data_folder: Path) -> None:
    folder = read_data_folder(str(data_folder))

    assert folder.classes.names == ("Blue Disc", "Green", "红 三角")
    assert folder.classes.display_names == ("蓝圆", "Green", "Red Triangle")
    counts = {name: len(folder.split(name)) for name in ("train", "val", "test")}
    assert counts == {"train": 24, "val": 6, "test": 6}
    assert all(path.is_file() for name in counts for path in folder.split(name).paths)


def test_lists_without_classes_are_named_by_their_folders(tmp_path: Path) -> None:
    train = "/photos/Cockatoo/1.jpg 1\n/photos/Black Skimmer/2.jpg 0\n/photos/Cockatoo/3.jpg 1\n"

    folder = read_data_folder(write(tmp_path, train=train, test="/elsewhere/a.jpg 1\n"))

    assert folder.classes.names == folder.classes.display_names == ("Black Skimmer", "Cockatoo")
    assert folder.val is None
    assert folder.split("test").labels.tolist() == [1]
    with pytest.raises(UserError, match=r"val\.txt: no such list"):
        folder.split("val")


TWO = "a/1.jpg 0\nb/1.jpg 1\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"classes": "a\nb\n"}, "train.txt is missing; make the lists with: .*split_data"),
        ({"train": ""}, "train.txt: the list is empty"),
        ({"train": "\n\n", "classes": "a\nb\n"}, "train.txt: the list is empty"),
        ({"train": TWO, "val": ""}, "val.txt: the list is empty"),
        ({"train": TWO, "test": "b/1.jpg 2\n"}, "test.txt: label 2 does not occur in train.txt"),
        (
            {"train": TWO, "test": "b/1.jpg 2\n", "classes": "a\nb\n"},
            "test.txt, line 1: label 2 is out of range",
        ),
        ({"train": TWO, "classes": "a\nb\nc c\n"}, r"train.txt: no photo of class 'c c' \(label 2\)"),
        ({"train": "a/1.jpg 0\nb/1.jpg 2\n"}, r"train.txt: labels are \[0, 2\].*without a gap"),
        ({"train": "a/1.jpg 1\nb/1.jpg 2\n"}, r"train.txt: labels are \[1, 2\].*from 0"),
        ({"train": TWO + "c/1.jpg 1\n"}, "train.txt, line 3: label 1 is used for the folders 'b' and 'c'"),
        ({"train": "a/1.jpg 0\n"}, "one class only .'a'."),
        ({"train": "a/1.jpg 0\n", "classes": "a\n"}, "one class only .'a'."),
        ({"train": TWO, "classes": ""}, "classes.txt: .*empty"),
    ],
)
def test_a_wrong_data_folder_is_explained(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_data_folder(write(tmp_path / "lists", **files))


def test_a_missing_data_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none: no such folder; make the lists with: .*--output .*none"):
        read_data_folder(tmp_path / "none")


def digest(folder: Path, **changes: str) -> str:
    lists = {"train": TWO, "val": TWO, "test": TWO, "classes": "a\nb\n"}
    return read_data_folder(write(folder, **lists | changes)).digest()


@pytest.mark.parametrize("changed", ["train", "val", "test"])
def test_the_digest_tells_other_lists_apart(tmp_path: Path, changed: str) -> None:
    assert digest(tmp_path, **{changed: TWO + TWO}) != digest(tmp_path)


def test_the_digest_tells_other_classes_apart_but_not_what_people_are_shown(tmp_path: Path) -> None:
    before = digest(tmp_path)

    assert digest(tmp_path, classes="a\nc\n") != before
    assert digest(tmp_path, classes="a\nb\tB\n") == before
    assert digest(tmp_path / "elsewhere") == before
