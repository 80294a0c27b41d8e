"""The settings of the network: whose options they are when another network is named."""

import re
from pathlib import Path

import pytest

from paddle_wrn.config import Config, load_config
from paddle_wrn.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"


def yaml_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["resnet18", "googlenet_cifar", "my_own", "WRN_16_1"])
def test_the_default_options_are_for_wide_resnets_only(tmp_path: Path, name: str) -> None:
    from_file = load_config(yaml_file(tmp_path, f"model: {{name: {name}}}\n"))
    from_words = load_config(None, {"model.name": name})

    assert from_file.model.options == from_words.model.options == {}
    assert load_config(None, {"model.name": "wrn_22_2"}).model.options == Config().model.options


@pytest.mark.parametrize(
    ("options", "name", "left"),
    [
        ("{conv_bias: true}", "wrn_28_10", {"conv_bias": True}),
        ("{conv_bias: true}", "resnet18", {}),
        ("{conv_bias: true}", "preact_resnet_cifar", {}),
        ("{}", "resnet20", {}),
    ],
)
def test_another_kind_of_network_leaves_the_options_of_the_old_one_behind(
    tmp_path: Path, options: str, name: str, left: dict[str, object]
) -> None:
    file = yaml_file(tmp_path, f"model: {{name: wrn_16_1, options: {options}}}\n")

    assert load_config(file, {"model.name": name}).model.options == left
    assert load_config(load_config(file), {"model.name": name}).model.options == left


@pytest.mark.parametrize("backwards", [False, True])
def test_options_given_with_another_network_are_its_own(backwards: bool) -> None:
    changes = {"model.name": "resnet20", "model.options.shortcut": "B"}
    if backwards:
        changes = dict(reversed(changes.items()))

    assert load_config(None, changes).model.options == {"shortcut": "B"}
    assert load_config(CONFIGS / "tutorial.yaml", changes).model.options == {"shortcut": "B"}


def test_sizes_of_a_name_are_no_other_kind_of_network(tmp_path: Path) -> None:
    file = yaml_file(tmp_path, "model: {name: resnet20, options: {shortcut: C}}\n")

    assert load_config(file, {"model.name": "resnet110"}).model.options == {"shortcut": "C"}


@pytest.mark.parametrize("given", [True, False])
def test_pretrained_is_said_by_the_weights_and_not_by_an_option(tmp_path: Path, given: bool) -> None:
    sentence = "model.options.pretrained: weights are no option of a network; write `weights: pretrained`"
    with pytest.raises(UserError, match=f"{re.escape(sentence)}$"):
        load_config(None, {"model.name": "resnet18", "model.options.pretrained": given})
    text = f"model: {{name: resnet18, options: {{pretrained: {str(given).lower()}}}}}\n"
    with pytest.raises(UserError, match=rf"my\.yaml: {re.escape(sentence)}$"):
        load_config(yaml_file(tmp_path, text))


def test_which_part_learns_is_all_or_the_head() -> None:
    assert Config().model.trainable == "all"
    assert load_config(None, {"model.trainable": "head"}).model.trainable == "head"
    with pytest.raises(UserError, match=r"^model\.trainable: found 'body'; input should be 'all' or 'head'"):
        load_config(None, {"model.trainable": "body"})


def test_settings_are_left_as_they_were_given() -> None:
    options = {"strides": [2, 1, 2, 2]}
    config = load_config(None, {"model.options": options, "model.options.drop_rate": 0.5})
    assert config.model.options == {"strides": [2, 1, 2, 2], "drop_rate": 0.5}
    assert options == {"strides": [2, 1, 2, 2]}
