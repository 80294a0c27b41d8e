"""The photos of a run: every later step decodes them in as much memory as the run's settings allow."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.answering.evaluation import evaluate
from paddle_wrn.answering.recalibration import calibrate
from paddle_wrn.answering.run_photos import ask, load_run_photos
from paddle_wrn.deploy.exporting import export
from paddle_wrn.drawing import plots
from paddle_wrn.pages.report.findings import gather
from paddle_wrn.photos import loading
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import MEMORY_MB, load_photos
from paddle_wrn.studies.label_check import _judged

LIMIT = 7


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of a finished run whose settings allow another amount of memory."""
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    run = shutil.copytree(trained, tmp_path / "run")
    config = (run / "config.yaml").read_text("utf-8")
    config, count = re.subn(r"memory_mb: \d+", f"memory_mb: {LIMIT}", config)
    assert count == 1
    (run / "config.yaml").write_text(config, "utf-8")
    return run


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the megabytes that were allowed each time when photos were decoded."""
    seen: list[int] = []
    allocate = loading._allocate

    def note(shape: tuple[int, int, int, int], memory_mb: int) -> np.ndarray:
        seen.append(memory_mb)
        return allocate(shape, memory_mb)

    monkeypatch.setattr(loading, "_allocate", note)
    return seen


def check_labels_of_a_fold(run: Path) -> None:
    home = run.parent
    (home / "lists").mkdir()
    photos = Path(read_data_folder(load_config_data(run)).folder).parent / "photos" / "Green"
    (home / "lists" / "test.txt").write_text("".join(f"{path} 1\n" for path in photos.iterdir()), "utf-8")
    _judged(home)


def load_config_data(run: Path) -> str:
    (line,) = re.findall(r"(?m)^data: (.*)$", (run / "config.yaml").read_text("utf-8"))
    return str(line)


@pytest.mark.parametrize(
    ("step", "times"),
    [
        (evaluate, 1),
        (calibrate, 2),
        (lambda run: gather(run, None, "en"), 3),
        (lambda run: export(run, run.parent / "exported", "pdparams"), 1),
        (check_labels_of_a_fold, 1),
    ],
    ids=["evaluate", "calibrate", "report", "export", "check_labels"],
)
def test_every_step_keeps_to_the_memory_of_the_run(
    step: Callable[[Path], object], times: int, run: Path, limits: list[int]
) -> None:
    step(run)
    assert limits == [LIMIT] * times


def test_a_file_alone_says_nothing_of_memory(
    run: Path, data_folder: Path, tmp_path: Path, limits: list[int]
) -> None:
    file = shutil.copy(run / "checkpoints" / "best.safetensors", tmp_path / "birds.safetensors")
    evaluate(file, data=data_folder)
    assert limits == [MEMORY_MB]


def test_photos_are_decoded_as_the_network_sees_them(run: Path, data_folder: Path) -> None:
    contract, photo_list = load_classifier(run).preprocessing, read_data_folder(data_folder).train
    for draft in (True, False):
        photos = load_run_photos(run, contract.model_copy(update={"draft": draft}), photo_list)
        np.testing.assert_array_equal(photos.images, load_photos(photo_list, 16, draft=draft).images)


def test_a_list_that_is_asked_about_comes_with_its_labels(run: Path, data_folder: Path) -> None:
    classifier, photo_list = load_classifier(run), read_data_folder(data_folder).split("val")
    asked = ask(classifier, run, photo_list)
    np.testing.assert_array_equal(asked.labels, photo_list.labels)
    np.testing.assert_array_equal(asked.logits, classifier.logits(asked.photos.images))
