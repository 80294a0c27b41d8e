"""Runs and places that no report can be written of or to: one sentence, and nothing half-written."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import RunMain
from report_page import copy_run

from paddle_wrn.pages import report as package
from paddle_wrn.pages.report import report
from paddle_wrn.report import main

BEST = "checkpoints/best.safetensors"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return copy_run(trained, tmp_path)


@pytest.fixture
def lists(data_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the lists that finds the same photos."""
    return shutil.copytree(data_folder, data_folder.parent / f"lists {tmp_path.name}")


def test_an_unfinished_training_is_refused(run: Path, run_main: RunMain) -> None:
    (run / "metrics.json").unlink()
    outcome = run_main(main, run)
    assert outcome.code == 2
    assert f"{run}: the training is not finished (2 epochs are done); continue it with" in outcome.err
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("content", ["", "{", "3", "[1]"])
def test_damaged_figures_are_refused(content: str, run: Path, run_main: RunMain) -> None:
    (run / "metrics.json").write_text(content)
    outcome = run_main(main, run)
    assert outcome.code == 2
    assert f"{run / 'metrics.json'}: the file is not what was written there" in outcome.err
    assert "train the run again with --again" in outcome.err


def test_a_folder_without_a_run_is_refused(tmp_path: Path, run: Path, run_main: RunMain) -> None:
    assert f"{tmp_path / 'gone'}: no such run folder" in run_main(main, tmp_path / "gone").err
    assert "holds no trained network" in run_main(main, tmp_path).err
    assert "is a file; the report needs the run folder" in run_main(main, run / BEST).err
    assert not (tmp_path / "gone").exists()


def test_photos_that_have_moved_are_missed_by_their_old_place(
    run: Path, lists: Path, tmp_path: Path, run_main: RunMain
) -> None:
    config = (run / "config.yaml").read_text("utf-8")
    (run / "config.yaml").write_text(re.sub(r"(?m)^data: .*$", f"data: {tmp_path}/old", config), "utf-8")
    outcome = run_main(main, run)
    assert outcome.code == 2
    assert f"its photos were listed in {tmp_path}/old, and there is no train.txt" in outcome.err
    moved = lists.rename(tmp_path / "lists")  # away from the photos
    outcome = run_main(main, run, "--data", moved)
    assert outcome.code == 2
    assert f"{moved}/train.txt, line 1: " in outcome.err
    assert "Blue Disc 00.jpg is not there; if the photos have moved, put them back" in outcome.err


def test_other_classes_are_refused(run: Path, lists: Path, run_main: RunMain) -> None:
    (lists / "classes.txt").write_text("Green\nBlue Disc\n红 三角\n", "utf-8")
    outcome = run_main(main, run, "--data", lists)
    assert outcome.code == 2
    assert "but the network was trained on Blue Disc, Green, 红 三角" in outcome.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("report.pdf", "report.pdf: the report is an HTML file; give a name that ends in .html"),
        ("folder.html", "folder.html: this is a folder"),
        ("file/a.html", "file: this is a file where a folder is needed"),
        ("file/b/a.html", "file: this is a file where a folder is needed"),
    ],
)
def test_a_bad_output_is_refused_before_the_work(
    name: str, sentence: str, run: Path, tmp_path: Path, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(package, "gather", lambda *_: pytest.fail("work was done"))
    outcome = run_main(main, run, "--output", tmp_path / name)
    assert outcome.code == 2
    assert sentence in outcome.err


def test_a_folder_that_may_not_be_written_to_is_refused(
    run: Path, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package.os, "access", lambda *_: False)  # root may write everywhere
    assert "no permission to write into this folder; choose another --output" in run_main(main, run).err


def test_a_failure_leaves_the_old_page_alone(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "new" / "page.html"
    report(run, output=old)
    before = old.read_bytes()

    def half(place: Path, content: bytes) -> None:
        with place.open("wb") as file:
            file.write(content[:100])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="disk full"):
        report(run, output=old)
    assert [path.name for path in old.parent.iterdir()] == ["page.html"]
    assert old.read_bytes() == before


def test_the_command_says_where_the_page_is(run: Path, run_main: RunMain) -> None:
    outcome = run_main(main, run, "--output", run / "page.htm")
    assert outcome.code == 0
    assert outcome.out.startswith(f"written: {run}/page.htm (0.")
