"""Starting from other weights: a new head, a frozen backbone, Paddle's own weights."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from conftest import CLASSES
from paddle import nn

from paddle_wrn.config import load_config
from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model, imagenet
from paddle_wrn.models.transfer import freeze_backbone, head_of, start_from
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.models.weights import Arrays, weights_of
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.training import state
from paddle_wrn.training.session import train

BEST = "checkpoints/best.safetensors"
LAST = "checkpoints/last.safetensors"
# 24 training photos: three steps of 8 an epoch
TINY: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 8,
    "selection": "last",
    "model.name": "wrn_10_1",
    "model.options": {},
    "input.size": 16,
    "augment.crop_size": None,
    "schedule.name": "constant",
    "schedule.warmup": 0.0,
}
HEAD = {"fc.weight", "fc.bias"}


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paddle_wrn.drawing.plots.save", lambda figure, path: None)


def weights_file(folder: Path, name: str, num_classes: int, **options: Any) -> Path:
    """Write random weights, with running statistics that are not those of the beginning."""
    paddle.seed(5)
    model = create_model(name, num_classes, **options)
    with paddle.no_grad():
        model(paddle.rand([4, 3, 32, 32]))
    file = folder / f"{name}_{num_classes}.pdparams"
    paddle.save(model.state_dict(), str(file))
    return file


@pytest.fixture(scope="module")
def ten_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_file(tmp_path_factory.mktemp("weights"), "wrn_10_1", 10)


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a stand-in for Paddle's weights."""
    return weights_file(tmp_path_factory.mktemp("weights"), "resnet18", 1000)


def same(first: Arrays, second: Arrays) -> set[str]:
    """Return the names of the arrays that are equal bit for bit."""
    assert first.keys() == second.keys()
    return {name for name in first if np.array_equal(first[name], second[name])}


def statistics(arrays: Arrays) -> set[str]:
    return {name for name in arrays if name.endswith(("._mean", "._variance"))}


# Loading


def test_weights_of_as_many_classes_are_taken_exactly(ten_classes: Path) -> None:
    model = create_model("wrn_10_1", 10)

    phrase = start_from(model, ten_classes)

    arrays = read_weights(ten_classes)
    assert same(weights_of(model), arrays) == set(arrays)
    assert phrase == f"loaded {len(arrays)} tensors from {ten_classes}; new: none"


@pytest.mark.parametrize("num_classes", [1, 3, 11])
def test_weights_of_other_classes_get_a_fresh_head(ten_classes: Path, num_classes: int) -> None:
    model = create_model("wrn_10_1", num_classes)
    before, arrays = weights_of(model), read_weights(ten_classes)

    phrase = start_from(model, ten_classes)

    after = weights_of(model)
    assert {name for name in arrays if np.array_equal(arrays[name], after[name])} == set(arrays) - HEAD
    assert all(np.array_equal(before[name], after[name]) for name in HEAD)
    assert before["fc.weight"].any()
    assert phrase == (
        f"loaded {len(arrays) - 2} tensors from {ten_classes}; new: "
        f"fc.weight (10 classes there, {num_classes} here), fc.bias (10 classes there, {num_classes} here)"
    )


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("wrn_16_1", {}, "group1.layer.1.bn1.weight is missing"),
        ("wrn_10_2", {}, "group1.layer.0.conv1.weight is (16, 16, 3, 3) instead of (32, 16, 3, 3)"),
        ("wrn_10_1", {"conv_bias": True}, "conv1.bias is missing"),
        ("wrn_10_1", {"in_channels": 1}, "conv1.weight is (16, 3, 3, 3) instead of (16, 1, 3, 3)"),
        ("resnet20", {}, "stem.0.weight is missing"),
        ("flowernet", {}, "conv1.bias is missing"),
    ],
)
@pytest.mark.parametrize("num_classes", [10, 3])
def test_weights_of_another_network_are_refused_with_names_and_shapes(
    name: str, options: dict[str, Any], problem: str, num_classes: int, ten_classes: Path
) -> None:
    model = create_model(name, num_classes, **options)
    before = weights_of(model)

    sentence = f"^{re.escape(str(ten_classes))}: weights of another network: .*{re.escape(problem)}"
    with pytest.raises(UserError, match=sentence):
        start_from(model, ten_classes)
    assert same(before, weights_of(model)) == set(before)


def test_a_head_that_sees_other_features_is_another_network(tmp_path: Path) -> None:
    file = tmp_path / "bent.pdparams"
    state_dict = create_model("wrn_10_1", 10).state_dict()
    state_dict["fc.weight"] = paddle.zeros([32, 10])
    paddle.save(state_dict, str(file))

    with pytest.raises(UserError, match=re.escape("fc.weight is (32, 10) instead of (64, 3)")):
        start_from(create_model("wrn_10_1", 3), file)


# The head


@pytest.mark.parametrize(
    "name",
    [
        "wrn_10_1",
        "googlenet_cifar",
        "densenet_cifar",
        "resnet20",
        "resnet18",
        "efficientnet_lite0",
        "densenet_d2l",
        "flowernet",
    ],
)
def test_the_head_is_the_last_linear_layer(name: str) -> None:
    with paddle.LazyGuard():
        assert head_of(create_model(name, 3)) == "fc"


def test_a_network_without_a_linear_layer_has_no_head() -> None:
    with pytest.raises(UserError, match="the network has no linear layer that could be its head"):
        head_of(nn.Sequential(nn.Conv2D(3, 4, 3)))


def test_a_frozen_backbone_has_no_gradient_and_stays_in_evaluation() -> None:
    model = create_model("wrn_10_1", 3, drop_rate=0.5)
    freeze_backbone(model)
    model.eval()
    before = weights_of(model)

    first, second = model(paddle.ones([2, 3, 8, 8])), model(paddle.ones([2, 3, 8, 8]))
    first.sum().backward()

    assert np.array_equal(first.numpy(), second.numpy())  # nothing is dropped
    assert same(before, weights_of(model)) == set(before)  # and no running mean has moved
    assert {name for name, p in model.named_parameters() if p.grad is not None} == HEAD


def test_an_epoch_of_all_changes_all(ten_classes: Path, data_folder: Path, tmp_path: Path) -> None:
    config = load_config(None, TINY | {"model.weights": str(ten_classes)})

    train(config, data=data_folder, output=tmp_path / "run")

    after, before = load_checkpoint(tmp_path / "run" / BEST, "model")[0], read_weights(ten_classes)
    assert not {name for name in before if np.array_equal(before[name], after[name])}


def _contract() -> Preprocessing:
    return Preprocessing(
        size=16,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        mirror=True,
        classes=tuple(CLASSES),
        display_names=tuple(CLASSES),
    )


# Continuing


def test_a_resumed_run_ends_like_one_that_never_stopped_without_the_weights_file(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = weights_file(tmp_path, "wrn_10_1", 10)
    settings = TINY | {"epochs": 3, "model.weights": str(file)}
    train(data=data_folder, output=tmp_path / "whole", settings=settings)

    finish = state.TrainingState.save

    def save_and_die(self: state.TrainingState, run: RunFolder, lists: str) -> None:
        finish(self, run, lists)
        if self.progress.epoch == 1:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(state.TrainingState, "save", save_and_die)
        with pytest.raises(RuntimeError, match="killed"):
            train(data=data_folder, output=tmp_path / "parts", settings=settings)
    file.unlink()
    train(output=tmp_path / "parts", resume=True)

    for kept, kind in ((BEST, "model"), (LAST, "training")):
        ours, theirs = (load_checkpoint(tmp_path / run / kept, kind)[0] for run in ("parts", "whole"))
        assert same(ours, theirs) == set(ours)


# Paddle's weights


def test_pretrained_weights_are_fetched_by_name(
    resnet18: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(url: str, md5: str) -> str:
        asked.append(url.rpartition("/")[2])
        return str(resnet18)

    monkeypatch.setattr(imagenet, "get_weights_path_from_url", fetch)
    settings = TINY | {
        "model.name": "resnet18",
        "model.weights": "pretrained",
        "model.trainable": "head",
        "input.size": 32,
    }

    train(data=data_folder, output=tmp_path / "run", settings=settings)

    assert asked == ["resnet18.pdparams"]
    before, after = read_weights(resnet18), load_checkpoint(tmp_path / "run" / BEST, "model")[0]
    assert {name for name in before if not np.array_equal(before[name], after[name])} == HEAD
    train(output=tmp_path / "run", resume=True)
    assert asked == ["resnet18.pdparams"]  # a run to continue has its own


def test_without_a_network_the_way_round_is_told_and_no_run_is_begun(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str, md5: str) -> str:
        raise RuntimeError("Downloading failed")

    monkeypatch.setattr(imagenet, "get_weights_path_from_url", fail)
    settings = TINY | {"model.name": "resnet18", "model.weights": "pretrained"}

    with pytest.raises(UserError, match=r"^resnet18: .* could not be fetched .*--model\.weights FILE$"):
        train(data=data_folder, output=tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("num_classes", [5, 1000])
def test_a_network_is_created_with_pretrained_weights(
    num_classes: int, resnet18: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet, "get_weights_path_from_url", lambda url, md5: str(resnet18))

    model = create_model("resnet18", num_classes, pretrained=True)

    before, after = read_weights(resnet18), weights_of(model)
    new = {name for name in before if not np.array_equal(before[name], after[name])}
    assert new == (HEAD if num_classes == 5 else set())
    assert after["fc.weight"].shape == (512, num_classes)


def test_without_asking_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, md5: str) -> str:
        raise AssertionError(url)

    monkeypatch.setattr(imagenet, "get_weights_path_from_url", fail)

    assert create_model("resnet18", 5, pretrained=False).fc.weight.shape == [512, 5]


def test_only_paddles_networks_have_pretrained_weights(data_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="wrn_10_1: no pretrained weights are offered"):
        train(data=data_folder, output=tmp_path / "run", settings=TINY | {"model.weights": "pretrained"})
