"""Tests of the networks by name and of the summary of a network."""

import numpy as np
import paddle
import pytest

import paddle_wrn
from paddle_wrn.errors import UserError
from paddle_wrn.models import WideResNet, create_model, list_models
from paddle_wrn.models.summary import count_parameters, summarise

# WRN-10-1 for 10 classes on 3 x 32 x 32, by hand: name: (output, parameters, multiply-adds)
WRN_10_1 = {
    "conv1": ((16, 32, 32), 432, 442_368),
    "group1.layer.0.bn1": ((16, 32, 32), 32, 0),
    "group1.layer.0.conv1": ((16, 32, 32), 2_304, 2_359_296),
    "group1.layer.0.bn2": ((16, 32, 32), 32, 0),
    "group1.layer.0.conv2": ((16, 32, 32), 2_304, 2_359_296),
    "group2.layer.0.bn1": ((16, 32, 32), 32, 0),
    "group2.layer.0.conv1": ((32, 16, 16), 4_608, 1_179_648),
    "group2.layer.0.bn2": ((32, 16, 16), 64, 0),
    "group2.layer.0.conv2": ((32, 16, 16), 9_216, 2_359_296),
    "group2.layer.0.shortcut": ((32, 16, 16), 512, 131_072),
    "group3.layer.0.bn1": ((32, 16, 16), 64, 0),
    "group3.layer.0.conv1": ((64, 8, 8), 18_432, 1_179_648),
    "group3.layer.0.bn2": ((64, 8, 8), 128, 0),
    "group3.layer.0.conv2": ((64, 8, 8), 36_864, 2_359_296),
    "group3.layer.0.shortcut": ((64, 8, 8), 2_048, 131_072),
    "bn": ((64, 8, 8), 128, 0),
    "fc": ((10,), 650, 640),
}


def test_every_listed_name_is_the_network_it_says() -> None:
    names = list_models()

    assert {"wrn_10_1", "wrn_16_4", "wrn_28_10", "wrn_40_8"} <= set(names)
    assert len(set(names)) == len(names)
    for name in names:
        with paddle.LazyGuard():
            assert create_model(name, 7).fc.weight.shape[1] == 7


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
        ("resnet50", "wrn_"),
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


def test_the_package_offers_the_networks() -> None:
    assert paddle_wrn.create_model is create_model
    assert paddle_wrn.WideResNet is WideResNet
    with pytest.raises(AttributeError, match="no_such_name"):
        paddle_wrn.no_such_name  # noqa: B018


def test_running_statistics_are_no_parameters() -> None:
    assert count_parameters(paddle.nn.BatchNorm2D(5)) == 10


def test_the_summary_of_wrn_10_1_is_the_one_made_by_hand() -> None:
    summary = summarise(create_model("wrn_10_1", 10), (3, 32, 32))

    found = {row.name: (row.output_shape, row.parameters, row.multiply_adds) for row in summary.rows}
    assert found == WRN_10_1
    assert summary.parameters == 77_850
    assert summary.multiply_adds == 12_501_632
    assert {row.kind for row in summary.rows} == {"Conv2D", "BatchNorm2D", "Linear"}


def test_the_summarys_text_ends_with_the_totals() -> None:
    text = str(summarise(create_model("wrn_10_1", 10), (3, 32, 32)))

    assert text.splitlines()[-1] == "input 3 x 32 x 32: 77,850 parameters, 12,501,632 multiply-adds an image"
    assert "group2.layer.0.shortcut" in text
    assert "32 x 16 x 16" in text


def test_layers_stand_in_the_order_of_the_data() -> None:
    names = [row.name for row in summarise(create_model("wrn_10_1", 10), (3, 8, 8)).rows]

    assert names[0] == "conv1"
    assert names[-2:] == ["bn", "fc"]
    assert names.index("group1.layer.0.conv2") < names.index("group2.layer.0.bn1")


@pytest.mark.parametrize("training", [True, False])
def test_a_summary_changes_nothing_in_the_network(training: bool) -> None:
    model = create_model("wrn_10_1", 4, drop_rate=0.5)
    model.train() if training else model.eval()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}

    summarise(model, (3, 16, 16))

    assert {layer.training for layer in model.sublayers(include_self=True)} == {training}
    assert all(np.array_equal(before[name], value.numpy()) for name, value in model.state_dict().items())
    assert not any(layer._forward_post_hooks for layer in model.sublayers())


def test_the_mode_is_restored_when_the_network_refuses_the_image() -> None:
    model = create_model("wrn_10_1", 4)

    with pytest.raises(ValueError, match="channel"):
        summarise(model, (1, 16, 16))

    assert model.training
    assert not any(layer._forward_post_hooks for layer in model.sublayers())
