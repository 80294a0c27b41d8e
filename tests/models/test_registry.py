"""The registry: networks by name and with options, own networks from a file, and the table of them all."""

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
from paddle_wrn.models.summary import summarise

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


# Names


def test_every_listed_name_can_be_built_for_any_classes_and_channels() -> None:
    names = list_models()

    assert len(set(names)) == len(names) == 40
    for name in names:
        with paddle.LazyGuard():
            model = create_model(name, 7, in_channels=4)
        convolution = next(layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D))
        assert convolution.weight.shape[1] == 4, name
        assert model.fc.weight.shape[1] == 7, name


def test_a_network_that_is_not_listed_is_built_from_its_name() -> None:
    model = create_model("wrn_22_3", 5)

    assert "wrn_22_3" not in list_models()
    assert len(model.group1.layer) == 3
    assert model.group1.layer[0].conv1.weight.shape == [48, 16, 3, 3]


def test_options_and_channels_reach_the_network() -> None:
    model = create_model("wrn_10_1", 3, in_channels=1, drop_rate=0.25, conv_bias=True, strides=[2, 1, 2, 2])

    assert model.conv1.weight.shape == [16, 1, 3, 3]
    assert model.conv1.bias is not None
    assert model.group1.layer[0].dropout.p == 0.25
    assert model(paddle.zeros([2, 1, 16, 16])).shape == [2, 3]
    assert summarise(model, (1, 16, 16)).rows[0].output_shape == (16, 8, 8)


def test_numbers_written_as_text_are_converted() -> None:
    assert create_model("wrn_10_1", 3, drop_rate="2e-1").group1.layer[0].dropout.p == 0.2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("wrn-28-10", "wrn_28_10"),
        ("WRN_16_4", "wrn_16_4"),
        ("wrn_40", "wrn_40_"),
        ("resnet_50", "resnet50"),
        ("resnet19", "resnet1"),
        ("googlenet", "googlenet_cifar"),
        ("flower", "flowernet"),
        ("", ""),
    ],
)
def test_an_unknown_name_gets_the_nearest_known_ones(name: str, near: str) -> None:
    with pytest.raises(UserError, match=rf"model\.name: found '{name}';.*{near}"):
        create_model(name, 4)


def test_a_wrong_depth_in_a_name_is_explained() -> None:
    with pytest.raises(UserError, match=r"depth: found 29;.*28 and 34"):
        create_model("wrn_29_2", 4)


@pytest.mark.parametrize(
    ("option", "near"),
    [("dropRate", "drop_rate"), ("conv-bias", "conv_bias"), ("stride", "strides")],
)
def test_an_unknown_option_gets_the_nearest_known_one(option: str, near: str) -> None:
    with pytest.raises(UserError, match=rf"model\.options\.{option}: .*did you mean {near}\?"):
        create_model("wrn_10_1", 4, **{option: 1})


@pytest.mark.parametrize("option", ["depth", "widen_factor"])
def test_what_the_name_says_is_no_option(option: str) -> None:
    with pytest.raises(UserError, match=rf"model\.options\.{option}: wrn_10_1 has no such option"):
        create_model("wrn_10_1", 4, **{option: 16})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("drop_rate", "much"),
        ("drop_rate", [0.1]),
        ("conv_bias", 7),
        ("strides", [1, 2]),
        ("strides", 2),
        ("strides", [1, 1, 2, 2.5]),
        ("strides", None),
    ],
)
def test_an_option_of_the_wrong_type_is_named(option: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"model\.options\.{option}: found .*; \S"):
        create_model("wrn_10_1", 4, **{option: value})


def test_an_option_out_of_range_is_named() -> None:
    with pytest.raises(UserError, match=r"drop_rate: found 1\.5"):
        create_model("wrn_10_1", 4, drop_rate=1.5)


@pytest.mark.parametrize(
    ("name", "option", "value", "sentence"),
    [
        ("wrn_10_1", "activation", "relu", r"wrn_10_1 has no such option; .* \(googlenet_cifar has it\)"),
        ("wrn_10_1", "shortcut", "A", r"wrn_10_1 has no such option; .* \(resnet20 has it\)"),
        ("resnet20", "widen_factor", 2, r"resnet20 has no such option; it has block, shortcut$"),
        ("resnet20", "conv_bias", True, r".* it has block, shortcut \(wrn_10_1 has it\)"),
        ("googlenet_cifar", "strides", [1, 1, 2, 2], r".* it has activation \(wrn_10_1 has it\)"),
        ("preact_resnet_cifar", "block", "basic", r".* it has activation \(resnet_cifar has it\)"),
        ("resnet18", "strides", [1, 1, 2, 2], "resnet18 has no options"),
        ("flowernet", "activation", "relu", "flowernet has no options"),
        ("resnet18_d2l", "depth", 18, "resnet18_d2l has no options"),
        ("resnet20", "pretrained", True, "resnet20 has no such option"),
    ],
)
def test_an_option_of_another_network_names_who_has_it(
    name: str, option: str, value: object, sentence: str
) -> None:
    with pytest.raises(UserError, match=rf"^model\.options\.{option}: {sentence}"):
        create_model(name, 4, **{option: value})


@pytest.mark.parametrize(
    ("name", "option", "value", "allowed"),
    [
        ("googlenet_cifar", "activation", "swish", "'tanh', 'relu', 'leaky_relu' or 'gelu'"),
        ("densenet_cifar", "activation", 3, "'tanh', 'relu', 'leaky_relu' or 'gelu'"),
        ("resnet_cifar", "block", "bottleneck", "'basic' or 'preact'"),
        ("resnet20", "shortcut", "D", "'a', 'b', 'c' or 'none'"),
        ("resnet20", "block", None, "'basic' or 'bottleneck'"),
        ("wrn_10_1", "conv_init", "xavier", "'he' or 'tutorial'"),
        ("wrn_10_1", "kernels", "3,3", "valid tuple"),
        ("wrn_10_1", "deepening_factor", 1.5, "valid integer"),
    ],
)
def test_a_value_that_an_option_cannot_take_is_named_with_those_it_can(
    name: str, option: str, value: object, allowed: str
) -> None:
    sentence = rf"^model\.options\.{option}: found {re.escape(repr(value))}; .*{re.escape(allowed)}"
    with pytest.raises(UserError, match=sentence):
        create_model(name, 4, **{option: value})


def test_options_reach_the_networks_of_every_family() -> None:
    assert isinstance(create_model("densenet_cifar", 3, activation="gelu").act, nn.GELU)
    assert create_model("resnet_cifar", 3, block="preact").blocks[0].conv1 is not None
    assert create_model("resnet20", 3, shortcut="C").blocks[0].shortcut is not None
    assert len(create_model("wrn_16_1", 3, kernels=[3, 1, 3]).group1.layer[0].rest) == 2


# Own networks


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


# The table


@pytest.fixture
def three_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    three = ["wrn_10_1", "resnet18_d2l", "flowernet"]
    monkeypatch.setattr("paddle_wrn.models.__main__.list_models", lambda: three)


@pytest.mark.usefixtures("three_networks")
def test_the_table_has_a_line_a_network_and_the_options(run_main: RunMain) -> None:
    said = run_main(models_main)

    assert said.code == 0
    head, *rows = said.out.split("\n\n")[0].splitlines()
    assert head.split() == ["name", "input", "classes", "parameters", "multiply-adds", "source"]
    columns = [re.split(r" {2,}", row.strip()) for row in rows]
    assert [row[0] for row in columns] == ["wrn_10_1", "resnet18_d2l", "flowernet"]
    assert rows[0].split()[1:9] == ["3", "x", "32", "x", "32", "10", "77,850", "12,501,632"]
    assert rows[1].split()[1:8] == ["1", "x", "96", "x", "96", "10", "11,178,378"]
    assert rows[2].split()[1:8] == ["3", "x", "224", "x", "224", "5", "258,735"]
    assert [row[-1] for row in columns] == [
        "Zagoruyko and Komodakis 2016",
        "Dive into Deep Learning",
        "flower recognition tutorial",
    ]
    assert (
        "wrn_<depth>_<widen factor>: drop_rate=0.0, conv_bias=False, strides=(1, 1, 2, 2), conv_init='he'"
        in said.out
    )
    assert "resnet18_d2l, flowernet: none" in said.out


def test_a_named_network_is_shown_layer_by_layer(run_main: RunMain) -> None:
    said = run_main(models_main, "wrn_10_1", "densenet_cifar")

    assert said.code == 0
    assert said.out.startswith("wrn_10_1: Zagoruyko and Komodakis 2016; options: drop_rate=0.0, ")
    assert "group2.layer.0.shortcut" in said.out
    assert "input 3 x 32 x 32: 77,850 parameters, 12,501,632 multiply-adds an image" in said.out
    assert "input 3 x 32 x 32: 239,146 parameters" in said.out
    assert "options: activation='relu'" in said.out


def test_an_own_network_is_shown_too(own_file: Path, run_main: RunMain) -> None:
    said = run_main(models_main, "--network", own_file, "pooled_line")

    assert said.code == 0
    assert said.out.startswith("pooled_line: your own; options: side=4\n")
    assert "input 3 x 32 x 32: 490 parameters, 480 multiply-adds an image" in said.out


def test_an_unknown_name_is_a_sentence(run_main: RunMain) -> None:
    said = run_main(models_main, "resnet19")

    assert (said.code, said.err.startswith("error: model.name: found 'resnet19'; the nearest")) == (2, True)
