"""Tests of what a run remembers of its epochs."""

import json
from pathlib import Path
from typing import Any

import pytest

from paddle_wrn.runs.epochs import Epoch, points, read_epochs


def written(number: int, **changes: Any) -> dict[str, Any]:
    """Return what a line of `history.jsonl` holds, in the order in which it does."""
    figures = {"lr": 0.1, "train_loss": 1 / number, "train_acc": 0.5, "val_loss": 0.25, "val_acc": 0.75}
    return {"epoch": number, **figures, "images_per_second": 100.0, "seconds": 2.0} | changes


def line(number: int, **changes: Any) -> str:
    return json.dumps(written(number, **changes)) + "\n"


def read(folder: Path, text: str) -> list[int]:
    """Return the numbers of the epochs in a file with this text."""
    file = folder / "history.jsonl"
    file.write_text(text, encoding="utf-8")
    return [epoch.epoch for epoch in read_epochs(file)]


@pytest.mark.parametrize("changes", [{}, {"val_loss": None, "val_acc": None}], ids=["val", "no val"])
def test_what_is_written_is_what_was_read(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "history.jsonl").write_text(line(1, **changes) + line(2, **changes))

    epochs = read_epochs(tmp_path / "history.jsonl")

    assert epochs == [Epoch(**written(1, **changes)), Epoch(**written(2, **changes))]
    assert "".join(epoch.line() for epoch in epochs) == line(1, **changes) + line(2, **changes)


def test_a_run_without_history_has_no_epochs(tmp_path: Path) -> None:
    assert read_epochs(tmp_path / "history.jsonl") == []


@pytest.mark.parametrize("cut", [1, 2, 10, 100])
def test_a_last_line_cut_short_is_left_out(tmp_path: Path, cut: int) -> None:
    assert read(tmp_path, (line(1) + line(2) + line(3))[:-1][:-cut]) == [1, 2]


@pytest.mark.parametrize("tail", ["\0\0\0\0", "\x80", "null\n", "{}\n", '{"epoch": 3}\n'])
def test_what_is_no_epoch_ends_the_history(tmp_path: Path, tail: str) -> None:
    (tmp_path / "history.jsonl").write_bytes((line(1) + line(2)).encode() + tail.encode("latin-1"))

    assert [epoch.epoch for epoch in read_epochs(tmp_path / "history.jsonl")] == [1, 2]


def test_a_last_line_without_its_end_counts(tmp_path: Path) -> None:
    assert read(tmp_path, (line(1) + line(2))[:-1]) == [1, 2]


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, line(1, new=[1]) + line(2)) == [1, 2]


def test_points_leave_out_what_was_not_measured() -> None:
    epochs = [Epoch(**written(1)), Epoch(**written(2, val_loss=None, val_acc=None))]

    assert points(epochs, "loss") == {"train": [(1, 1.0), (2, 0.5)], "val": [(1, 0.25)]}
    assert points(epochs, "acc") == {"train": [(1, 0.5), (2, 0.5)], "val": [(1, 0.75)]}
    assert points([], "acc") == {"train": [], "val": []}
