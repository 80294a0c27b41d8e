"""Tests of what a run remembers of its epochs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visualdl import LogReader

from paddle_wrn.history import History, read_history


def epoch(number: int, **changes: Any) -> dict[str, Any]:
    figures = {"lr": 0.1, "train_loss": 1 / number, "train_acc": 0.5, "val_loss": 0.25, "val_acc": 0.75}
    return {"epoch": number, **figures, "images_per_second": 100.0, "seconds": 2.0} | changes


def write_lines(run: Path, text: str) -> Path:
    file = run / "history.jsonl"
    file.write_text(text, encoding="utf-8")
    return file


def numbers(epochs: list[dict[str, Any]]) -> list[int]:
    return [epoch["epoch"] for epoch in epochs]


def test_what_was_added_is_read_at_any_moment(tmp_path: Path) -> None:
    history = History(tmp_path, 0)
    for number in (1, 2, 3):
        history.add(epoch(number))
        assert read_history(tmp_path) == history.epochs == [epoch(n) for n in range(1, number + 1)]
    history.close()

    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


def test_a_run_without_history_has_no_epochs(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []


@pytest.mark.parametrize("cut", [1, 2, 10, 100])
def test_a_last_line_cut_short_is_left_out(tmp_path: Path, cut: int) -> None:
    text = "".join(json.dumps(epoch(n)) + "\n" for n in (1, 2, 3))
    write_lines(tmp_path, text[:-1][:-cut])

    assert numbers(read_history(tmp_path)) == [1, 2]


def test_a_last_line_without_its_end_counts(tmp_path: Path) -> None:
    write_lines(tmp_path, "\n".join(json.dumps(epoch(n)) for n in (1, 2)))

    assert numbers(read_history(tmp_path)) == [1, 2]


@pytest.mark.parametrize("tail", ["", '{"epoch": 4, "lr"'])
def test_resuming_forgets_the_epochs_beyond(tmp_path: Path, tail: str) -> None:
    file = write_lines(tmp_path, "".join(json.dumps(epoch(n)) + "\n" for n in (1, 2, 3)) + tail)

    history = History(tmp_path, 2)
    assert numbers(history.epochs) == numbers(read_history(tmp_path)) == [1, 2]
    history.add(epoch(3, train_loss=9.0))
    history.close()

    assert [e["train_loss"] for e in read_history(tmp_path)] == [1, 0.5, 9]
    assert file.read_text().endswith("}\n")


def test_a_new_run_forgets_everything(tmp_path: Path) -> None:
    write_lines(tmp_path, json.dumps(epoch(1)) + "\n")

    History(tmp_path, 0).close()

    assert (tmp_path / "history.jsonl").read_text() == ""


def test_scalars_pictures_and_histograms_reach_visualdl(tmp_path: Path) -> None:
    history = History(tmp_path, 0)
    history.add(epoch(1))
    history.add(epoch(2, val_loss=None, val_acc=None))
    history.add_image("photos", np.zeros((4, 6, 3), np.uint8), 0)
    history.add_histograms({"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.ones(3, np.float32)}, 1)
    history.close()

    (file,) = (tmp_path / "visualdl").iterdir()
    reader = LogReader(file_path=str(file))
    tags = reader.get_tags()
    assert set(tags["scalar"]) == {
        *("loss/train", "loss/val", "accuracy/train", "accuracy/val"),
        *("learning rate", "speed/images per second"),
    }
    loss = reader.get_data("scalar", "loss/train")
    assert [(record.id, record.value) for record in loss] == [(1, 1.0), (2, 0.5)]
    first = {tag: reader.get_data("scalar", tag)[0].value for tag in tags["scalar"]}
    assert (first["accuracy/train"], first["accuracy/val"], first["loss/val"]) == (0.5, 0.75, 0.25)
    assert (first["learning rate"], first["speed/images per second"]) == (pytest.approx(0.1), 100)
    assert [record.id for record in reader.get_data("scalar", "accuracy/val")] == [1]
    assert tags["image"] == ["photos"]
    assert tags["histogram"] == ["fc.weight"]
