"""Tests of runs whose backbone is frozen: features once, a head in one go, and then, perhaps, every layer."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from conftest import RunMain

from paddle_wrn import evaluate, predict, train
from paddle_wrn.answering import features as computing
from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.answering.features import backbone_key
from paddle_wrn.models import create_model
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import Arrays, weights_of
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.signals import Stopped
from paddle_wrn.training.head_training import head_in

HEAD = {"fc.weight", "fc.bias"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep features of these tests apart from the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "paddle_wrn" / "features"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return random weights of a network for ten classes, with running statistics of their own."""
    paddle.seed(5)
    model = create_model("wrn_10_1", 10)
    with paddle.no_grad():
        model(paddle.rand([4, 3, 32, 32]))
    file = tmp_path_factory.mktemp("weights") / "backbone.pdparams"
    paddle.save(model.state_dict(), str(file))
    return file


@pytest.fixture
def settings(backbone: Path) -> dict[str, Any]:
    return {
        "epochs": 1,
        "batch_size": 8,
        "model.name": "wrn_10_1",
        "model.options": {},
        "model.weights": str(backbone),
        "model.trainable": "head",
        "input.size": 16,
        "input.mean": [0.5, 0.5, 0.5],
        "input.std": [0.5, 0.5, 0.5],
        "augment.crop_size": None,
    }


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of photos whose features are computed."""
    counts: list[int] = []
    compute = computing.features

    def counted(classifier: Any, images: Any) -> Any:
        counts.append(len(images))
        return compute(classifier, images)

    monkeypatch.setattr(computing, "features", counted)
    return counts


def kept(run: Path) -> Arrays:
    return weights_of(load_classifier(run).model)


def unlike(first: Arrays, second: Arrays) -> set[str]:
    assert first.keys() == second.keys()
    return {name for name in first if not np.array_equal(first[name], second[name])}


def test_the_head_alone_learns_and_the_run_is_like_any_other(
    settings: dict[str, Any], backbone: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    results = train.train(data=data_folder, output=tmp_path / "run", settings=settings)

    run = RunFolder(tmp_path / "run")
    assert unlike(read_weights(backbone) | {n: kept(run.path)[n] for n in HEAD}, kept(run.path)) == set()
    assert results.test is not None
    assert results.test.accuracy >= 0.5  # three colours, on random features
    assert (results.epochs, results.kept_epoch) == (1, 1)
    (epoch,) = run.epochs()
    assert epoch.train_acc > 0.9
    assert epoch.val_acc == results.val.accuracy if results.val else None
    assert run_main(evaluate.main, run.path).out.startswith(f"accuracy {results.test}")
    photo = read_data_folder(data_folder).split("test").paths[0]
    assert run_main(predict.main, run.path, photo).code == 0
    assert json.loads(run.results_file.read_text("utf-8"))["test"]["images"] == 6


def test_logits_from_features_are_those_of_the_network(
    settings: dict[str, Any], data_folder: Path, tmp_path: Path
) -> None:
    train.train(data=data_folder, output=tmp_path / "run", settings=settings)
    classifier = load_classifier(tmp_path / "run")
    photos = load_photos(read_data_folder(data_folder).split("test"), 16, draft=True)
    logits = classifier.logits(photos.images)
    found = head_in(classifier.model).logits(computing.features(classifier, photos.images))
    scale = np.abs(logits).max()
    assert np.abs(found - logits).max() < 1e-4 * scale


def test_features_are_computed_once(
    settings: dict[str, Any], data_folder: Path, tmp_path: Path, computed: list[int], cache: Path
) -> None:
    first = train.train(data=data_folder, output=tmp_path / "first", settings=settings)
    assert sum(computed) == 36
    computed.clear()
    again = train.train(data=data_folder, output=tmp_path / "again", settings=settings | {"seed": 3})
    assert computed == []
    assert again.test == first.test
    assert unlike(kept(tmp_path / "first"), kept(tmp_path / "again")) == set()
    assert len(list(cache.iterdir())) == 1


def test_a_photo_that_has_changed_is_computed_again(
    settings: dict[str, Any], photo_folder: Path, tmp_path: Path, computed: list[int]
) -> None:
    from paddle_wrn.photos.splitting.split import split_data

    copy = tmp_path / "photos"
    for photo in photo_folder.rglob("*.jpg"):
        place = copy / photo.relative_to(photo_folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(photo.read_bytes())
    split_data(copy, tmp_path / "lists")
    train.train(data=tmp_path / "lists", output=tmp_path / "first", settings=settings)
    computed.clear()
    changed = next(copy.rglob("*.jpg"))
    changed.write_bytes(next(photo_folder.rglob("*07.jpg")).read_bytes() + b"\0")
    train.train(data=tmp_path / "lists", output=tmp_path / "again", settings=settings)
    assert computed == [1]


@pytest.mark.parametrize(
    "change", [{"input.size": 24}, {"input.mirror": False}, {"input.mean": [0.4, 0.5, 0.5]}]
)
def test_other_preprocessing_has_other_features(
    change: dict[str, Any], settings: dict[str, Any], data_folder: Path, tmp_path: Path, cache: Path
) -> None:
    train.train(data=data_folder, output=tmp_path / "first", settings=settings)
    train.train(data=data_folder, output=tmp_path / "second", settings=settings | change)
    assert len(list(cache.iterdir())) == 2


def test_the_key_is_that_of_the_backbone_and_not_of_the_head(
    settings: dict[str, Any], data_folder: Path, tmp_path: Path
) -> None:
    train.train(data=data_folder, output=tmp_path / "run", settings=settings)
    classifier = load_classifier(tmp_path / "run")
    before = backbone_key(classifier)
    classifier.model.fc.bias.set_value(paddle.ones([3]))
    assert backbone_key(classifier) == before
    classifier.model.conv1.weight.set_value(classifier.model.conv1.weight * 2)
    assert backbone_key(classifier) != before


def test_what_a_signal_interrupts_is_continued(
    settings: dict[str, Any],
    data_folder: Path,
    tmp_path: Path,
    computed: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = train.train(data=data_folder, output=tmp_path / "whole", settings=settings)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(computing, "BATCH_SIZE", 5)
    compute = computing.features

    def interrupted(classifier: Any, images: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return compute(classifier, images)

    computed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(computing, "features", interrupted)
        with pytest.raises(Stopped):
            train.train(data=data_folder, output=tmp_path / "parts", settings=settings)
    assert computed == [5]
    assert "python -m paddle_wrn.train --resume --output" in capsys.readouterr().out
    assert RunFolder(tmp_path / "parts").results() is None

    parts = train.train(output=tmp_path / "parts", resume=True)
    assert sum(computed) == 36
    assert parts.test == whole.test
    assert unlike(kept(tmp_path / "whole"), kept(tmp_path / "parts")) == set()


def test_a_run_that_was_killed_after_its_fit_is_finished_without_the_weights(
    settings: dict[str, Any],
    backbone: Path,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = tmp_path / "mine.pdparams"
    mine.write_bytes(backbone.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("paddle_wrn.training.session.write_results", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train.train(
                data=data_folder, output=tmp_path / "run", settings=settings | {"model.weights": str(mine)}
            )
    mine.unlink()
    results = train.train(output=tmp_path / "run", resume=True)
    assert results.kept_epoch == 1
    assert len(RunFolder(tmp_path / "run").epochs()) == 1


def test_every_layer_learns_after_the_head(
    settings: dict[str, Any], backbone: Path, data_folder: Path, tmp_path: Path, computed: list[int]
) -> None:
    tuned = settings | {"model.trainable": "head_first", "epochs": 2, "optimizer.lr": 1e-6}
    results = train.train(data=data_folder, output=tmp_path / "tuned", settings=tuned)
    head_only = train.train(data=data_folder, output=tmp_path / "head", settings=settings)
    assert computed == [24, 6, 6]  # the features of the validation and test photos are not needed at first
    assert results.epochs == 2
    before = read_weights(backbone)
    assert not [
        name
        for name in before
        if name not in HEAD and np.array_equal(before[name], kept(tmp_path / "tuned")[name])
    ]
    near = kept(tmp_path / "head")["fc.weight"] - kept(tmp_path / "tuned")["fc.weight"]
    assert np.abs(near).max() < 1e-3  # it began with that head
    assert head_only.epochs == 1


def test_a_network_without_a_linear_head_is_refused(
    settings: dict[str, Any], data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from paddle import nn\nfrom paddle_wrn.models import register_model\n"
        "@register_model('headless')\n"
        "class Headless(nn.Layer):\n"
        "    def __init__(self, num_classes, in_channels=3):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2D(in_channels, num_classes, 3)\n"
        "    def forward(self, x):\n"
        "        return self.conv(x).mean([2, 3])\n"
    )
    outcome = run_main(
        train.main, "--network", own, "--data", data_folder, "--output", tmp_path / "run",
        "--model.name", "headless", "--model.trainable", "head", "--input.size", 16,
        "--input.mean", "[0.5, 0.5, 0.5]", "--input.std", "[0.5, 0.5, 0.5]",
    )  # fmt: skip
    assert outcome.code == 2
    assert "no linear layer" in outcome.err
    assert not (tmp_path / "run").exists()


def test_several_processes_are_not_needed_for_a_head(
    settings: dict[str, Any], data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paddle_wrn.config import load_config
    from paddle_wrn.errors import UserError
    from paddle_wrn.training.processes import Processes
    from paddle_wrn.training.setup import set_up

    folder = read_data_folder(data_folder)
    config = load_config(None, settings)
    with pytest.raises(UserError, match=r"^model\.trainable: found head, with 2 processes"):
        set_up(config, RunFolder(tmp_path), folder, folder.digest(), Processes(0, 2))
