"""Trainings of a second: their settings, what they leave behind, and fixtures of such runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

# 24 training photos: three steps of 7 and one of 3 an epoch
TINY: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 7,
    "drop_last": False,
    "model.name": "wrn_10_1",
    "model.options": {"strides": [2, 1, 2, 2]},
    "input.size": 16,
    "augment.crop_size": None,
    "schedule.warmup": 0.0,
}
BEST = "checkpoints/best.safetensors"
LAST = "checkpoints/last.safetensors"
PREVIOUS = "checkpoints/previous.safetensors"


@pytest.fixture(scope="session")
def finished_run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run with the settings `TINY`; tests only read it."""
    from paddle_wrn.training.session import train  # only now: importing Paddle takes seconds

    folder = tmp_path_factory.mktemp("train") / "runs" / "tiny"
    train(data=data_folder, output=folder, settings=TINY)
    return folder


@pytest.fixture
def own_run(finished_run: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run that a test may change."""
    shutil.copytree(finished_run, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def own_lists(data_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the lists that a test may change."""
    lists = tmp_path / "lists"
    shutil.copytree(data_folder, lists)
    for name in ("train", "val", "test"):
        text = (lists / f"{name}.txt").read_text("utf-8")
        text = text.replace("../photos", str(data_folder.parent / "photos"))
        (lists / f"{name}.txt").write_text(text, "utf-8")
    return lists


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes longer than a tiny training."""
    monkeypatch.setattr("paddle_wrn.drawing.plots.save", lambda figure, path: None)


def words(settings: dict[str, Any]) -> list[str]:
    """Return settings as a command line has them."""
    return [word for name, value in settings.items() for word in (f"--{name}", json.dumps(value))]


def history(run: Path) -> list[dict[str, Any]]:
    """Return the lines of `history.jsonl`."""
    return [json.loads(line) for line in (run / "history.jsonl").read_text("utf-8").splitlines()]


def metrics(run: Path) -> dict[str, Any]:
    """Return what `metrics.json` holds."""
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text("utf-8"))
    return found


def weight_files(run: Path) -> tuple[bytes, bytes]:
    """Return the bytes of the kept weights, ours and Paddle's."""
    return (run / BEST).read_bytes(), (run / "model.pdparams").read_bytes()


def state_of(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Return time and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
