"""Tests of the settings: where they come from and what is refused."""

import math
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from paddle_wrn.config import Config, describe_settings, differences, load_config, parse_settings
from paddle_wrn.errors import UserError


def yaml_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", ["5e-4", "5.0e-4", "0.0005", "5E-4"])
def test_a_number_with_an_exponent_is_a_number(tmp_path: Path, text: str) -> None:
    from_yaml = load_config(yaml_file(tmp_path, f"optimizer: {{weight_decay: {text}}}"))
    from_words = load_config(None, parse_settings(["--optimizer.weight_decay", text]))

    for config in (from_yaml, from_words):
        assert config.optimizer.weight_decay == 5e-4
        assert type(config.optimizer.weight_decay) is float


def test_the_command_line_is_above_the_file_and_the_file_above_the_defaults(tmp_path: Path) -> None:
    file = yaml_file(tmp_path, "epochs: 7\noptimizer: {lr: 0.3, momentum: 0.5}\n")

    config = load_config(file, {"optimizer.lr": 0.2, "input.size": 64})

    assert (config.epochs, config.optimizer.momentum, config.optimizer.lr, config.input.size) == (
        7,
        0.5,
        0.2,
        64,
    )
    assert config.batch_size == Config().batch_size


def test_changes_leave_a_given_configuration_alone() -> None:
    base = Config()

    changed = load_config(base, {"epochs": 3, "model.options.drop_rate": 0.1})

    assert changed.epochs == 3
    assert base == Config()


@pytest.mark.parametrize("text", [None, "", "epochs: 200\n", "model: {name: wrn_16_2}\n"])
def test_one_option_of_the_network_leaves_the_others(tmp_path: Path, text: str | None) -> None:
    base = None if text is None else yaml_file(tmp_path, text)

    options = load_config(base, {"model.options.drop_rate": 0.3}).model.options

    assert options == {**Config().model.options, "drop_rate": 0.3}
    assert "drop_rate" not in Config().model.options


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config(yaml_file(tmp_path, "# nothing\n")) == Config()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("epoch", "epochs"),
        ("optimiser", "optimizer"),
        ("optimizer.learning_rate", "optimizer."),
        ("lr", "optimizer.lr"),
        ("momentum", "optimizer.momentum"),
        ("std", r"input\.std"),
        ("input.sise", "input.size"),
        ("augment.color", "augment.colour"),
        ("model.drop_rate", "model."),
    ],
)
def test_an_unknown_setting_gets_the_nearest_name(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(UserError, match=rf"^{name}: there is no such setting; did you mean {near}"):
        load_config(None, {name: 1})
    text = yaml.safe_dump(nested(name))
    with pytest.raises(UserError, match=rf"my\.yaml: {name}: there is no such setting"):
        load_config(yaml_file(tmp_path, text))


def nested(name: str) -> dict[str, object]:
    value: object = 1
    for part in reversed(name.split(".")):
        value = {part: value}
    return value  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "many"),
        ("epochs", 1.5),
        ("epochs", 0),
        ("epochs", None),
        ("batch_size", -1),
        ("seed", -1),
        ("seed", 2**31),
        ("label_smoothing", 1.0),
        ("selection", "first"),
        ("drop_last", "perhaps"),
        ("amp", "perhaps"),
        ("data", 5),
        ("model.name", 3),
        ("model.options", [1]),
        ("model", 3),
        ("input.size", 0),
        ("input.size", "32px"),
        ("input.mean", [0.5, 0.5]),
        ("input.mirror", "left"),
        ("augment.crop_scale", 0),
        ("augment.crop_scale", 1.1),
        ("augment.crop_size", 0),
        ("augment.shift", -1),
        ("augment.shift_fill", "white"),
        ("augment.flip_horizontal", 1.5),
        ("augment.flip_vertical", -0.5),
        ("augment.colour", 1.0),
        ("optimizer.name", "lion"),
        ("optimizer.lr", 0),
        ("optimizer.lr", "fast"),
        ("optimizer.lr", math.inf),
        ("optimizer.lr", math.nan),
        ("optimizer.momentum", 1),
        ("optimizer.weight_decay", -1e-4),
        ("optimizer.nesterov", 7),
        ("schedule.name", "linear"),
        ("schedule.warmup", 1),
        ("schedule.warmup", -0.1),
        ("schedule.milestones", 0.6),
        ("schedule.gamma", 0),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_was_found(name: str, value: object) -> None:
    with pytest.raises(UserError) as caught:
        load_config(None, {name: value})

    found, _, expected = str(caught.value).partition("; ")
    assert found == f"{name}: found {value!r}"
    assert expected


@pytest.mark.parametrize(
    ("name", "value"), [("input.std", [0.5, 0.0, 0.5]), ("schedule.milestones", [0.9, 0.0])]
)
def test_of_several_values_the_wrong_one_is_shown(name: str, value: list[float]) -> None:
    with pytest.raises(UserError, match=rf"^{name}: found 0(\.0)?; input should be greater than 0"):
        load_config(None, {name: value})


@pytest.mark.parametrize("given", ["mean", "std"])
def test_mean_and_std_come_together(given: str) -> None:
    with pytest.raises(UserError, match=r"input\.mean and input\.std must be given together"):
        load_config(None, {f"input.{given}": [0.5, 0.5, 0.5]})


def test_a_setting_inside_something_that_is_no_group_is_refused() -> None:
    with pytest.raises(UserError, match=r"optimizer\.lr"):
        load_config(None, {"optimizer.lr.peak": 1})
    with pytest.raises(UserError, match=r"^--epochs\.most: epochs is not a group of settings"):
        load_config(Config(), {"epochs.most": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- epochs\n- 3\n", "found a list; lines such as `epochs: 60` are needed"),
        (b"epochs", "found a str"),
        (b"3", "found a int"),
        (b"epochs: [1, 2\n", "not a YAML file"),
        (b"epochs: 3\n\tbatch_size: 2\n", "not a YAML file"),
        (b"!!python/object/apply:os.system ['true']", "not a YAML file"),
        ("数据: 1".encode("gb18030"), "not a YAML file"),
        (b"3: 4\n", "3: there is no such setting"),
        (b"epochs: many\n", "epochs: found 'many'"),
    ],
)
def test_a_file_that_holds_no_settings_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(content)

    with pytest.raises(UserError, match=f"^{path}: {message}"):
        load_config(path)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"none\.yaml: no such configuration file"):
        load_config("none.yaml")


@pytest.mark.parametrize("name", ["epochs", "optimizer"])
def test_a_configuration_cannot_be_changed(name: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Config(), name, 3)


def test_a_group_of_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().optimizer.lr = 3.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ([], {}),
        (["--epochs", "3"], {"epochs": 3}),
        (["--epochs=3", "--amp", "true"], {"epochs": 3, "amp": True}),
        (["--optimizer.weight-decay", "0.1"], {"optimizer.weight_decay": 0.1}),
        (["--input.mean", "[0.5, 0.4, 0.3]"], {"input.mean": [0.5, 0.4, 0.3]}),
        (["--augment.crop_size", "null"], {"augment.crop_size": None}),
        (["--data", "a=b c"], {"data": "a=b c"}),
        (["--data=x=y"], {"data": "x=y"}),
        (["--data", "蕉林莺"], {"data": "蕉林莺"}),
        (["--data", "[broken"], {"data": "[broken"}),
        (["--epochs", "1", "--epochs", "2"], {"epochs": 2}),
    ],
)
def test_words_become_changes(words: list[str], changes: dict[str, object]) -> None:
    assert parse_settings(words) == changes


@pytest.mark.parametrize(
    ("words", "message"),
    [(["epochs", "3"], "^epochs: not expected"), (["--epochs"], "^--epochs: a value must follow")],
)
def test_words_that_are_no_settings_are_named(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_settings(words)


def test_every_setting_is_described_with_its_default() -> None:
    described = {name: (meaning, default) for name, meaning, default in describe_settings()}

    assert described["optimizer.lr"] == ("highest learning rate", Config().optimizer.lr)
    assert described["epochs"][1] == Config().epochs
    assert all(meaning for meaning, _ in described.values())
    flat = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in Config().model_dump().items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert set(described) == flat


def test_differences_are_told_setting_by_setting() -> None:
    new = load_config(Config(), {"optimizer.lr": 0.05, "epochs": 7})

    assert differences(Config(), Config()) == []
    assert differences(Config(), new) == [
        f"epochs was {Config().epochs}, now 7",
        f"optimizer.lr was {Config().optimizer.lr}, now 0.05",
    ]


def test_config_with_a_tuple_reads_back_equal(tmp_path: Path) -> None:
    config = load_config(None, {"model.options": {"strides": (2, 2, 2, 2)}})
    (tmp_path / "config.yaml").write_text(config.to_yaml(), "utf-8")
    assert load_config(tmp_path / "config.yaml") == config
