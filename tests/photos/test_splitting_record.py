"""What is read of split.json later on."""

import json
from pathlib import Path

import pytest

from paddle_wrn.photos.splitting.photo_folder import HIDDEN, NO_CLASS, LeftOut
from paddle_wrn.photos.splitting.record import duplicate_numbers, read_record
from paddle_wrn.photos.splitting.split import split_data


def test_a_real_split_json_is_read(photo_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for path in photo_folder.rglob("*.jpg"):
        place = source / path.relative_to(photo_folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    (source / "Green" / "copy of 3.jpg").write_bytes((source / "Green" / "Green 03.jpg").read_bytes())
    (source / "notes.txt").touch()
    (source / "Green" / ".hidden").touch()
    split = split_data(source, tmp_path / "lists")

    record = read_record(tmp_path / "lists")

    assert record is not None
    assert record.near_duplicates == split.near_duplicates
    assert ("Green/Green 03.jpg", "Green/copy of 3.jpg") in record.near_duplicates
    assert record.left_out == (LeftOut("Green/.hidden", HIDDEN), LeftOut("notes.txt", NO_CLASS))
    assert len(record.files) == 37
    assert record.name_of(tmp_path / "lists" / ".." / "photos" / "Green" / "Green 03.jpg") == (
        "Green/Green 03.jpg"
    )
    assert record.name_of(tmp_path / "Green 03.jpg") is None


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b'{"files": {}}', b'{"left_out": [{"path": "a"}]}', b"\xff"]
)
def test_what_is_no_record_is_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "split.json").write_bytes(content)
    assert read_record(tmp_path) is None
    assert duplicate_numbers(tmp_path, [Path("a.jpg"), Path("b.jpg")]).tolist() == [0, 1]


def test_near_duplicates_have_one_number(tmp_path: Path) -> None:
    names = [f"bird/{number}.jpg" for number in range(5)]
    record = {"files": dict.fromkeys(names, ""), "near_duplicates": [[names[0], names[3]]]}
    record |= {"mixed_labels": [], "left_out": []}
    (tmp_path / "split.json").write_text(json.dumps(record), "utf-8")
    numbers = duplicate_numbers(tmp_path, [Path("/photos", name) for name in [*names, "other.jpg"]]).tolist()
    assert numbers[0] == numbers[3]
    assert len(set(numbers)) == 5
