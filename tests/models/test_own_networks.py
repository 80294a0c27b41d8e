"""Networks of one's own: registered in three lines, loaded from a file, and what is wrong with one."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paddle
import pytest
from conftest import RunMain
from paddle import nn

from paddle_wrn import evaluate, predict, train
from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model, list_models, register_model, registry
from paddle_wrn.models.__main__ import main as models_main
from paddle_wrn.models.registry import find_network, load_network_file

OWN_NETWORK = """\
from paddle import nn
from paddle_wrn.models import register_model

@register_model("pooled_line")
class PooledLine(nn.Layer):
    def __init__(self, num_classes, in_channels=3, side: int = 4):
        super().__init__()
        self.pool, self.fc = nn.AdaptiveAvgPool2D(side), nn.Linear(in_channels * side * side, num_classes)

    def forward(self, x):
        return self.fc(self.pool(x).flatten(1))
"""


@pytest.fixture(autouse=True)
def _forget_own_networks() -> Iterator[None]:
    """Leave the registry as it was."""
    networks, files = dict(registry._networks), set(registry._loaded_files)
    yield
    for kept, before in ((registry._networks, networks), (registry._loaded_files, files)):
        kept.clear()
        kept.update(before)


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """Return a file with a network of three lines."""
    file = tmp_path / "my_net.py"
    file.write_text(OWN_NETWORK, "utf-8")
    return file


def test_a_network_is_registered_in_three_lines() -> None:
    @register_model("tiny")
    class Tiny(nn.Layer):
        def __init__(self, num_classes: int, in_channels: int = 3) -> None:
            super().__init__()
            self.fc = nn.Linear(in_channels, num_classes)

        def forward(self, x: paddle.Tensor) -> paddle.Tensor:
            return self.fc(x.mean([2, 3]))

    assert list_models()[-1] == "tiny"
    assert create_model("tiny", 5)(paddle.zeros([2, 3, 8, 8])).shape == [2, 5]
    assert find_network("tiny").source == "your own"


def test_a_function_can_be_registered_too_and_told_about() -> None:
    @register_model("small_wrn", source="a note", num_classes=3, input_shape=(1, 16, 16))
    def small_wrn(num_classes: int, in_channels: int = 3, drop_rate: float = 0.0) -> nn.Layer:
        return create_model("wrn_10_1", num_classes, in_channels, drop_rate=drop_rate)

    network = find_network("small_wrn")
    assert (network.source, network.num_classes, network.input_shape) == ("a note", 3, (1, 16, 16))
    assert small_wrn(2).fc.weight.shape == [64, 2]
    assert create_model("small_wrn", 3, 1, drop_rate="0.5").group1.layer[0].dropout.p == 0.5


@pytest.mark.parametrize("name", ["wrn_16_1", "wrn_22_3", "resnet18", "flowernet"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"^register_model: the name '{name}' is taken; choose another"):

        @register_model(name)
        def build(num_classes: int, in_channels: int = 3) -> nn.Layer:
            raise AssertionError

    assert find_network(name).source != "your own"


def test_registering_the_same_again_is_harmless() -> None:
    def build(num_classes: int, in_channels: int = 3) -> nn.Layer:
        return nn.Linear(in_channels, num_classes)

    register_model("twice")(build)
    register_model("twice")(build)

    assert list_models().count("twice") == 1


@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        (lambda: None, ""),
        (lambda classes, in_channels=3: None, "classes, in_channels"),
        (lambda num_classes: None, "num_classes"),
        (lambda in_channels, num_classes: None, "in_channels, num_classes"),
    ],
)
def test_wrong_arguments_are_named(build: Any, arguments: str) -> None:
    sentence = rf"^register_model: odd takes \({arguments}\); its arguments must be \(num_classes,"
    with pytest.raises(UserError, match=sentence):
        register_model("odd")(build)
    assert "odd" not in list_models()


def test_a_network_of_ones_own_goes_through_every_command(
    own_file: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    run = tmp_path / "run"
    settings = ["--model.name", "pooled_line", "--model.options.side", 2, "--epochs", 1, "--input.size", 16,
                "--augment.crop_size", "null"]  # fmt: skip
    trained = run_main(train.main, "--network", own_file, "--data", data_folder, "--output", run, *settings)
    assert trained.code == 0, trained.err
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    assert metrics["parameters"] == 3 * 2 * 2 * 3 + 3

    scored = run_main(evaluate.main, run, "--network", own_file)
    assert (scored.code, "accuracy" in scored.out) == (0, True)
    photo = data_folder.parent / "photos" / "Green" / "Green 00.jpg"
    said = run_main(predict.main, run, photo, "--network", own_file)
    assert (said.code, said.out.startswith(f"{photo}: ")) == (0, True)
    resumed = run_main(train.main, "--network", own_file, "--resume", "--output", run)
    assert resumed.code == 0, resumed.err


def test_without_its_file_an_own_network_is_unknown_and_the_way_is_named(
    own_file: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    said = run_main(
        train.main, "--data", data_folder, "--output", tmp_path / "run", "--model.name", "pooled_line"
    )
    assert said.code == 2
    assert "model.name: found 'pooled_line'" in said.err
    assert "--network FILE" in said.err


def test_the_same_file_may_be_loaded_twice_by_any_path(
    own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_network_file(own_file)
    monkeypatch.chdir(own_file.parent)
    load_network_file(Path("my_net.py"))
    load_network_file(own_file.parent / ".." / own_file.parent.name / "my_net.py")

    assert list_models().count("pooled_line") == 1


def test_another_file_with_the_same_name_of_a_network_is_refused(own_file: Path, tmp_path: Path) -> None:
    load_network_file(own_file)
    other = shutil.copy(own_file, tmp_path / "other.py")

    with pytest.raises(UserError, match=rf"^{other}: register_model: the name 'pooled_line' is taken"):
        load_network_file(Path(other))


def test_an_own_file_may_use_dataclasses_and_late_annotations(tmp_path: Path) -> None:
    text = f"from __future__ import annotations\nfrom dataclasses import dataclass\n{OWN_NETWORK}"
    file = tmp_path / "modern.py"
    file.write_text(f"{text}\n@dataclass\nclass Widths:\n    first: int = 3\n", "utf-8")

    load_network_file(file)

    assert create_model("pooled_line", 3, side="2").fc.weight.shape == [12, 3]


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r": registers no network; put @register_model\(\"name\"\) above your class"),
        ("import nothing_of_this_name\n", ", line 1: ModuleNotFoundError: No module named"),
        ("x = 1\n\ny = x / 0\n", ", line 3: ZeroDivisionError: division by zero"),
        ("x = 1\ndef f(:\n", ", line 2: SyntaxError: "),
        ("def f():\n    return 1 / 0\n\nf()\n", ", line 2: ZeroDivisionError"),
        (OWN_NETWORK.replace("pooled_line", "resnet18"), ": register_model: the name 'resnet18' is taken"),
        (OWN_NETWORK.replace("in_channels=3", "channels=3"), r": register_model: pooled_line takes \("),
    ],
)
def test_what_is_wrong_with_an_own_file_is_named_with_its_line(
    text: str, sentence: str, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my_net.py"
    file.write_text(text, "utf-8")
    if relative:
        monkeypatch.chdir(tmp_path)
        file = Path("my_net.py")

    with pytest.raises(UserError, match=f"^{re.escape(str(file))}{sentence}"):
        load_network_file(file)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("gone.py", "no such Python file"), ("net.txt", "not a Python file"), (".", "no such Python file")],
)
def test_a_file_that_is_none_is_named(name: str, sentence: str, tmp_path: Path, run_main: RunMain) -> None:
    (tmp_path / "net.txt").write_text(OWN_NETWORK, "utf-8")

    said = run_main(models_main, "--network", tmp_path / name)

    assert said.code == 2
    assert said.err.startswith(f"error: {tmp_path / name}: {sentence}")


def test_an_own_network_is_shown_too(own_file: Path, run_main: RunMain) -> None:
    said = run_main(models_main, "--network", own_file, "pooled_line")

    assert said.code == 0
    assert said.out.startswith("pooled_line: your own; options: side=4\n")
    assert "input 3 x 32 x 32: 490 parameters, 480 multiply-adds an image" in said.out
