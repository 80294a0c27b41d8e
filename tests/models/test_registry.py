"""The registry: networks by name and with options, and the table of them all."""

import re

import paddle
import pytest
from conftest import RunMain
from paddle import nn

from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model, list_models
from paddle_wrn.models.__main__ import main as models_main
from paddle_wrn.models.summary import summarise

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


def test_an_unknown_name_is_a_sentence(run_main: RunMain) -> None:
    said = run_main(models_main, "resnet19")

    assert (said.code, said.err.startswith("error: model.name: found 'resnet19'; the nearest")) == (2, True)
