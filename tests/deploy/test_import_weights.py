"""Weights of other scripts: the tutorial's names and order, counts, shapes, and nothing that runs."""

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
import yaml
from conftest import RunMain
from paddle import nn
from rounding import additions, assert_equal_to_rounding

from benchmarks.yardsticks.tutorial_loop import WideResNet as FlatTutorial
from paddle_wrn import evaluate, predict
from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.config import load_config
from paddle_wrn.deploy.importing import import_weights
from paddle_wrn.errors import UserError
from paddle_wrn.import_weights import main
from paddle_wrn.models import create_model
from paddle_wrn.runs.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


class TutorialBlock(nn.Layer):
    def __init__(self, in_planes: int, out_planes: int, stride: int, bias: bool) -> None:
        super().__init__()
        attribute = None if bias else False
        self.bn1 = nn.BatchNorm2D(in_planes)
        self.conv1 = nn.Conv2D(in_planes, out_planes, 3, stride, padding=1, bias_attr=attribute)
        self.bn2 = nn.BatchNorm2D(out_planes)
        self.conv2 = nn.Conv2D(out_planes, out_planes, 3, padding=1, bias_attr=attribute)
        if in_planes != out_planes:
            self.convShortcut = nn.Conv2D(in_planes, out_planes, 1, stride, bias_attr=attribute)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        h = F.relu(self.bn1(x))
        skip = self.convShortcut(h) if hasattr(self, "convShortcut") else x
        return skip + self.conv2(F.relu(self.bn2(self.conv1(h))))


class TutorialGroup(nn.Layer):
    def __init__(self, nb_layers: int, in_planes: int, out_planes: int, stride: int, bias: bool) -> None:
        super().__init__()
        first = TutorialBlock(in_planes, out_planes, stride, bias)
        self.layer = nn.Sequential(
            first, *(TutorialBlock(out_planes, out_planes, 1, bias) for _ in range(nb_layers - 1))
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.layer(x)


class Tutorial(nn.Layer):
    """The tutorial's network under the tutorial's names, pooling and all."""

    def __init__(self, num_classes: int, depth: int = 10, widen_factor: int = 1, bias: bool = True) -> None:
        super().__init__()
        widths = [16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor]
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2D(3, 16, 3, padding=1, bias_attr=None if bias else False)
        self.block1 = TutorialGroup(blocks, widths[0], widths[1], 1, bias)
        self.block2 = TutorialGroup(blocks, widths[1], widths[2], 2, bias)
        self.block3 = TutorialGroup(blocks, widths[2], widths[3], 2, bias)
        self.bn1 = nn.BatchNorm2D(widths[3])
        self.fc = nn.Linear(widths[3], num_classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = F.relu(self.bn1(self.block3(self.block2(self.block1(self.conv1(x))))))
        return self.fc(paddle.flatten(F.avg_pool2d(x, 8), 1))


def saved(model: nn.Layer, folder: Path) -> Path:
    """Save a network as the tutorial does, its running statistics moved."""
    paddle.seed(0)
    model(paddle.randn([8, 3, 32, 32]))
    model.eval()
    paddle.save(model.state_dict(), str(folder / "model.pdparams"))
    return folder / "model.pdparams"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return the tutorial's file for three classes."""
    return saved(Tutorial(3), tmp_path)


@pytest.fixture
def classes(data_folder: Path) -> Path:
    return data_folder / "classes.txt"


@pytest.mark.numeric
@pytest.mark.parametrize(
    ("make", "name", "bias"),
    [
        (lambda: Tutorial(3), "wrn_10_1", True),
        (lambda: Tutorial(3, 16, 2, bias=False), "wrn_16_2", False),
        (lambda: FlatTutorial(3, 10), "wrn_10_1", True),  # other names, the same order
    ],
)
def test_it_is_the_same_network(
    make: Callable[[], nn.Layer], name: str, bias: bool, classes: Path, tmp_path: Path
) -> None:
    model = make()
    config = import_weights(saved(model, tmp_path), classes, tmp_path / "run")
    assert (config.model.name, config.model.options["conv_bias"]) == (name, bias)
    photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    theirs = ((photos.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).astype(np.float32)
    with paddle.no_grad():
        expected = model(paddle.to_tensor(theirs)).numpy()
    found = load_classifier(tmp_path / "run").logits(photos)
    assert_equal_to_rounding(found, expected, terms=additions(model))
    assert np.ptp(expected) > 0.01


def test_the_run_is_one_for_every_command(
    weights: Path, classes: Path, photo_folder: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    run = tmp_path / "new" / "run"
    outcome = run_main(main, weights, "--classes", classes, "--output", run)
    assert outcome.code == 0
    assert "wrn_10_1, photos of 32 x 32 pixels" in outcome.out
    assert {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()} == {
        "config.yaml", "classes.txt", "preprocessing.json", "checkpoints/best.safetensors"
    }  # fmt: skip
    contract = load_classifier(run).preprocessing
    assert (contract.size, contract.mean, contract.std) == (32, (0.5,) * 3, (0.5,) * 3)
    assert contract.display_names == ("蓝圆", "Green", "Red Triangle")
    config = RunFolder(run).config()
    assert config is not None
    assert config.data == str(data_folder)
    photo = next((photo_folder / "Green").iterdir())
    assert run_main(predict.main, run, photo).code == 0
    assert "of 6 right" in run_main(evaluate.main, run, "--split", "val").out


def test_what_it_takes_for_granted_is_the_tutorials(
    weights: Path, classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tutorial").write_text("epochs: 1\n")  # of the user, and not meant
    config = import_weights(weights, classes, tmp_path / "run")
    shipped = load_config(ROOT / "configs" / "tutorial.yaml", {"model.name": "wrn_10_1"})
    assert config == shipped.model_copy(update={"data": str(classes.parent)})


def test_what_a_file_cannot_tell_is_told(
    weights: Path, classes: Path, tmp_path: Path, run_main: RunMain
) -> None:
    outcome = run_main(
        main, weights, "--classes", classes, "--output", tmp_path / "run", "--input.size", 64,
        "--input.mean", "[0.1, 0.2, 0.3]", "--model.options.strides", "[2, 1, 2, 2]", "--data", "elsewhere",
    )  # fmt: skip
    assert outcome.code == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"] == "elsewhere"
    assert config["model"]["options"] == {"conv_bias": True, "strides": [2, 1, 2, 2], "conv_init": "tutorial"}
    contract = load_classifier(tmp_path / "run").preprocessing
    assert (contract.size, contract.mean, contract.std) == (64, (0.1, 0.2, 0.3), (0.5,) * 3)


def test_another_network_by_its_name(classes: Path, tmp_path: Path) -> None:
    file = saved(create_model("googlenet_cifar", 3), tmp_path)
    with pytest.raises(UserError, match=r"not the tutorial's network .* --model\.name"):
        import_weights(file, classes, tmp_path / "run")
    config = import_weights(file, classes, tmp_path / "run", settings={"model.name": "googlenet_cifar"})
    assert config.model.options == {}
    assert load_classifier(tmp_path / "run").logits(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 3)


def spoil(weights: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with weights.open("rb") as file:
        content = pickle.load(file)
    change(content)
    with weights.open("wb") as file:
        pickle.dump(content, file)


def rename(content: dict[str, Any], old: str, new: str) -> None:
    content[new] = content.pop(old)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("block2.layer.0.bn2.bias"), "group2.layer.0.bn2.bias is missing"),
        (lambda c: rename(c, "bn1.bias", "bn9.bias"), "bn.bias is missing, bn9.bias is not in the network"),
        (lambda c: c.update({"bn1.bias": np.zeros(63, np.float32)}), "bn.bias is (63,) instead of (64,)"),
        (lambda c: c.update({"more.weight": np.zeros(3, np.float32)}), "more.weight is not in the network"),
        (lambda c: c["fc.bias"].fill(np.nan), "fc.bias holds values that are not numbers"),
        (
            lambda c: c.pop("fc.weight"),
            "not the tutorial's network (7 convolutions of 3 x 3, 0 linear layers)",
        ),
        (lambda c: c.pop("conv1.weight"), "not the tutorial's network (6 convolutions"),
        (lambda c: c.update({"fc.bias": "text"}), "fc.bias is no array of numbers"),
    ],
)
def test_other_weights_are_one_sentence(
    change: Callable[[dict[str, Any]], object],
    words: str,
    weights: Path,
    classes: Path,
    tmp_path: Path,
    run_main: RunMain,
) -> None:
    spoil(weights, change)
    outcome = run_main(main, weights, "--classes", classes, "--output", tmp_path / "run")
    assert outcome.code == 2
    assert f"{weights}: " in outcome.err
    assert words in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["model.pdparams"]


def test_another_number_of_classes(weights: Path, tmp_path: Path, run_main: RunMain) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\n")
    outcome = run_main(main, weights, "--classes", tmp_path / "classes.txt", "--output", tmp_path / "run")
    assert outcome.code == 2
    assert f"tells 3 classes apart, but {tmp_path / 'classes.txt'} names 2" in outcome.err


class Attack:
    def __reduce__(self) -> Any:
        return os.mkdir, ("attacked",)


def test_a_file_that_wants_to_run_code_is_refused(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "model.pdparams"
    file.write_bytes(pickle.dumps(OrderedDict(a=Attack())))
    outcome = run_main(main, file, "--classes", classes, "--output", tmp_path / "run")
    assert outcome.code == 2
    assert "which could run code" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["model.pdparams"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--epochs", 3), "--epochs: has no meaning here; give only model.*, input.* or data"),
        (("--input.sise", 3), "input.sise: there is no such setting"),
        (("--input.mean", "null", "--input.std", "null"), "there are no photos to measure"),
        (("--model.name", "wrn_16_1"), "is missing"),
    ],
)
def test_impossible_wishes(
    arguments: tuple[object, ...], words: str, weights: Path, classes: Path, tmp_path: Path, run_main: RunMain
) -> None:
    outcome = run_main(main, weights, "--classes", classes, "--output", tmp_path / "run", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (tmp_path / "run").exists()


def test_files_and_places_that_are_not_there(
    weights: Path, classes: Path, tmp_path: Path, run_main: RunMain
) -> None:
    gone = tmp_path / "gone.pdparams"
    assert (
        f"{gone}: no such file" in run_main(main, gone, "--classes", classes, "--output", tmp_path / "a").err
    )
    ask = (main, weights, "--classes")
    assert f"{gone}: no such file" in run_main(*ask, gone, "--output", tmp_path / "a").err
    (tmp_path / "a").mkdir()
    assert f"{tmp_path / 'a'}: exists already" in run_main(*ask, classes, "--output", tmp_path / "a").err
