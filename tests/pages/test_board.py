"""VisualDL as the command starts it, seen in a real browser; and what it refuses."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Visit, chromium, serving
from conftest import RunMain

from paddle_wrn.board import main
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.training.visual_records import VisualRecords


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the records of two runs."""
    folder = tmp_path_factory.mktemp("board") / "runs"
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)
        records = VisualRecords(folder / name / "visualdl")
        for epoch in (1, 2, 3):
            figures = Epoch(
                epoch=epoch,
                lr=0.1,
                train_loss=1 / epoch,
                train_acc=0.5,
                val_loss=0.25,
                val_acc=0.75,
                images_per_second=100.0,
                seconds=2.0,
            )
            records.add_epoch(figures)
        records.add_image("augmented training photos", np.full((8, 8, 3), 200, np.uint8), 0)
        records.close()
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.mark.slow
def test_a_browser_shows_the_scalars_of_the_runs(runs: Path, browser: Any, tmp_path: Path) -> None:
    with serving("paddle_wrn.board", runs, "--language", "en", folder=tmp_path) as address:
        visit = Visit(browser, address, locale="fr-FR")  # of which VisualDL by itself knows nothing
        page = visit.page
        for group in ("accuracy", "learning rate", "loss", "speed"):
            page.get_by_text(group, exact=True).first.wait_for()
        for run in ("first", "second"):
            page.get_by_text(f"{runs / run / 'visualdl'}").first.wait_for()
        with page.expect_response(
            lambda answer: "scalar/list" in answer.url and "loss" in answer.url
        ) as told:
            page.get_by_text("loss", exact=True).first.click()
        values = [row[2] for row in told.value.json()["data"]]
        assert values in ([1.0, 0.5, pytest.approx(1 / 3)], [0.25] * 3)
        tabs = page.evaluate("fetch('/app/api/component_tabs').then(answer => answer.json())")
        assert tabs["data"][0] == "scalar"
        assert visit.hosts == {"127.0.0.1"}


def empty(folder: Path) -> Path:
    return folder


def missing(folder: Path) -> Path:
    return folder / "gone"


def file(folder: Path) -> Path:
    (folder / "best.safetensors").touch()
    return folder / "best.safetensors"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (empty, "holds no VisualDL records; training writes them into the run folder"),
        (missing, "no such folder"),
        (file, "is a file; give the run folder it is in"),
    ],
)
def test_a_place_without_records_is_a_sentence(
    make: Any, complaint: str, runs: Path, tmp_path: Path, run_main: RunMain
) -> None:
    place = make(tmp_path)
    outcome = run_main(main, runs, place)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {place}: {complaint}")


def test_a_port_in_use_is_a_sentence(runs: Path, run_main: RunMain) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run_main(main, runs, "--port", port)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: port {port} is in use already; give another one with --port (0: any that is free)\n"
    )


def test_a_language_visualdl_does_not_have_is_a_sentence(runs: Path, run_main: RunMain) -> None:
    assert "'en', 'zh'" in run_main(main, runs, "--language", "fr").err
