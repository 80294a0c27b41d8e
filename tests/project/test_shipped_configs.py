"""Every shipped configuration trains an epoch on a few drawn photos, is scored and predicts."""

import json
from pathlib import Path
from typing import Any

import paddle
import pytest
from conftest import CLASSES, RunMain

from paddle_wrn import evaluate, predict
from paddle_wrn.config import load_config
from paddle_wrn.models import create_model, imagenet, transfer
from paddle_wrn.models.weights import weights_of
from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.system.records import read_record
from paddle_wrn.training.session import train

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 3, "input.memory_mb": 20}


@pytest.fixture(scope="module")
def few_photos(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of lists: 6 train, 3 val and 3 test photos."""
    folder = tmp_path_factory.mktemp("few")
    for split, numbers in {"train": (0, 1), "val": (2,), "test": (3,)}.items():
        lines = [
            f"{photo_folder}/{name}/{name} {number:02}.jpg {label}\n"
            for label, name in enumerate(CLASSES)
            for number in numbers
        ]
        (folder / f"{split}.txt").write_text("".join(lines), "utf-8")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES), "utf-8")
    return folder


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return random weights in the place of Paddle's."""
    file = tmp_path_factory.mktemp("weights") / "resnet18.pdparams"
    paddle.save(create_model("resnet18", 1000).state_dict(), str(file))
    return file


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_trains_is_scored_and_predicts(
    path: Path,
    few_photos: Path,
    stand_in: Path,
    tmp_path: Path,
    run_main: RunMain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("paddle_wrn.drawing.plots.save", lambda figure, path: None)
    monkeypatch.setattr(imagenet, "get_weights_path_from_url", lambda url, md5: str(stand_in))
    monkeypatch.setattr(transfer, "pretrained_file", lambda network: Path(network))
    monkeypatch.setattr(transfer, "pretrained_weights", lambda name: weights_of(create_model(name, 1000)))
    config = load_config(path)
    run = tmp_path / "run"

    results = train(path, data=few_photos, output=run, settings=SHORT)

    assert results.test is not None
    assert (results.epochs, results.test.images) == (1, 3)
    record = load_checkpoint(run / "checkpoints" / "best.safetensors", "model")[1]
    assert record["model"] == {"name": config.model.name, "options": config.model.options}
    assert run_main(evaluate.main, run).code == 0
    assert read_record(Scores, run / "evaluation" / "test.json", "").confusion == results.test.confusion
    first = (few_photos / "test.txt").read_text("utf-8").splitlines()[0]
    photo = first.rpartition(" ")[0]
    said = run_main(predict.main, run, photo, "--json")
    assert said.code == 0
    assert json.loads(said.out)["class"] in CLASSES
