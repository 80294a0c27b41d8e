"""Tests of records: written as JSON, read back equal, and one sentence where a file holds something else."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from paddle_wrn.errors import UserError
from paddle_wrn.system.records import Record, read_record


class Perch(Record):
    height: float
    kind: str = Field("twig", alias="class")


class Bird(Record):
    name: str
    perches: tuple[Perch, ...] = ()
    seen: dict[int, int] = Field(default_factory=dict)


BIRD = Bird(name="白鹭", perches=(Perch(height=1.5), Perch(height=2.0, kind="branch")), seen={2024: 3})
PLAIN = {
    "name": "白鹭",
    "perches": [{"height": 1.5, "class": "twig"}, {"height": 2.0, "class": "branch"}],
    "seen": {"2024": 3},
}


def test_plain_values_have_the_names_of_the_files() -> None:
    assert BIRD.plain() == PLAIN
    assert list(BIRD.plain()) == ["name", "perches", "seen"]


def test_a_line_is_one_line_and_a_text_is_for_people() -> None:
    assert Perch(height=1).line() == '{"height": 1.0, "class": "twig"}\n'
    assert BIRD.line().count("\n") == 1
    assert BIRD.line().isascii()  # so that nothing but "\n" ends a line
    assert Perch(height=1, kind="草").text() == '{\n  "height": 1.0,\n  "class": "草"\n}\n'


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    for number, written in enumerate((BIRD.text(), BIRD.line())):
        file = tmp_path / f"{number}.json"
        file.write_text(written, encoding="utf-8")
        assert read_record(Bird, file, "look again") == BIRD


def test_what_early_versions_did_not_write_has_its_default_and_what_later_ones_add_is_passed_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "bird.json").write_text('{"song": "loud", "name": "白鹭"}', encoding="utf-8")
    assert read_record(Bird, tmp_path / "bird.json", "look again") == Bird(name="白鹭")


def test_a_record_stays_as_it_is() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        BIRD.name = "crow"  # type: ignore[misc]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_are_finite(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Perch(height=number)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"", "the file is not what was written there (Invalid JSON: EOF"),
        (b'{"name": "a", "per', "the file is not what was written there (Invalid JSON: EOF"),
        (b"\xff\xfe{}", "the file is not what was written there (Invalid JSON"),
        (b"[]", "the file is not what was written there (Input should be an object"),
        (b"{}", "name is not what was written there (Field required"),
        (b'{"name": 3}', "name is not what was written there (Input should be a valid string"),
        (b'{"name": "a", "perches": [{"height": "far"}]}', "perches.0.height is not what was written there"),
        (b'{"name": "a", "perches": [{"height": NaN}]}', "perches.0.height is not what was written there"),
    ],
    ids=["missing", "empty", "cut short", "not UTF-8", "a list", "nothing", "type", "inside", "not a number"],
)
def test_another_file_is_one_sentence(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "bird.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_record(Bird, file, "look again")
    sentence = str(caught.value)
    assert sentence.startswith(f"{file}: {complaint}")
    assert sentence.endswith("; look again")
    assert "\n" not in sentence
