"""The shipped configurations: they load, they can be built, and they say what their sources say."""

from pathlib import Path

import pytest

from paddle_wrn.config import Config, load_config
from paddle_wrn.models import create_model

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))


def test_the_defaults_are_the_recipe_for_birds() -> None:
    config = load_config(CONFIGS / "birds.yaml")

    assert config == Config() == load_config()
    assert (config.epochs, config.input.mirror, config.drop_last) == (140, True, True)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_configuration_loads_and_survives_its_own_yaml(path: Path, tmp_path: Path) -> None:
    config = load_config(path)

    (tmp_path / "own.yaml").write_text(config.to_yaml(), "utf-8")
    assert load_config(tmp_path / "own.yaml") == config
    assert load_config(str(path)) == config


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_configuration_names_a_network_that_can_be_built(path: Path) -> None:
    import paddle

    model = load_config(path).model

    with paddle.LazyGuard():
        assert create_model(model.name, 10, **model.options).parameters()


def test_the_shipped_configurations_are_there() -> None:
    names = {path.stem for path in SHIPPED}

    assert {"birds", "smoke", "tutorial", "wrn_16_4_cifar10", "wrn_28_10_cifar10"} <= names


def test_the_tutorials_recipe_is_the_tutorials() -> None:
    config = load_config(CONFIGS / "tutorial.yaml")

    assert (config.epochs, config.batch_size, config.selection) == (60, 32, "last")
    assert (config.model.name, config.model.options["conv_bias"]) == ("wrn_28_1", True)
    assert config.model.options["conv_init"] == "tutorial"
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("adam", 1e-3, 0)
    assert (config.input.size, config.input.mean, config.input.std) == (32, (0.5,) * 3, (0.5,) * 3)
    assert (config.schedule.name, config.schedule.warmup) == ("constant", 0)
    assert (config.augment.flip_horizontal, config.augment.flip_vertical) == (0.5, 0.5)
    assert (config.augment.crop_size, config.augment.shift, config.augment.colour) == (None, 0, 0)
    assert (config.label_smoothing, config.amp, config.drop_last, config.input.mirror) == (
        0,
        False,
        True,
        False,
    )


def test_the_papers_recipe_is_the_papers() -> None:
    config = load_config(CONFIGS / "wrn_28_10_cifar10.yaml")

    assert (config.epochs, config.batch_size) == (200, 128)
    assert (config.model.name, config.model.options["drop_rate"]) == ("wrn_28_10", 0.3)
    assert (config.optimizer.name, config.optimizer.momentum, config.optimizer.nesterov) == ("sgd", 0.9, True)
    assert (config.optimizer.lr, config.optimizer.weight_decay) == (0.1, 5e-4)
    assert (config.schedule.name, config.schedule.milestones, config.schedule.gamma) == (
        "step",
        (0.3, 0.6, 0.8),
        0.2,
    )
    assert (config.schedule.warmup, config.label_smoothing) == (0, 0)
    assert (config.drop_last, config.input.mirror) == (False, False)
    assert (config.augment.shift, config.augment.shift_fill) == (4, "reflect")
    assert config.input.mean == pytest.approx([v / 255 for v in (125.3, 123.0, 113.9)], abs=1e-4)
    assert config.input.std == pytest.approx([v / 255 for v in (63.0, 62.1, 66.7)], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "trainable", "size"),
    [("pretrained", "head", 224), ("pretrained_large", "head", 320), ("finetune", "head_first", 224)],
)
def test_recipes_that_begin_with_imagenet_see_what_its_network_saw(
    name: str, trainable: str, size: int
) -> None:
    config = load_config(CONFIGS / f"{name}.yaml")

    assert (config.model.name, config.model.options) == ("efficientnet_lite0", {})
    assert (config.model.weights, config.model.trainable) == ("pretrained", trainable)
    assert config.input.size == size
    assert config.input.mean == pytest.approx((127 / 255,) * 3)
    assert config.input.std == pytest.approx((128 / 255,) * 3)


@pytest.mark.parametrize(
    ("name", "network", "optimizer"),
    [
        ("googlenet", "googlenet_cifar", ("adamw", 1e-3)),
        ("resnet", "resnet_cifar", ("sgd", 0.1)),
        ("preact_resnet", "preact_resnet_cifar", ("sgd", 0.1)),
        ("densenet", "densenet_cifar", ("adamw", 1e-3)),
    ],
)
def test_the_recipes_of_the_cifar_comparison_are_its_own(
    name: str, network: str, optimizer: tuple[str, float]
) -> None:
    config = load_config(CONFIGS / f"{name}_cifar10.yaml")

    assert (config.model.name, config.model.options) == (network, {"activation": "relu"})
    assert (config.optimizer.name, config.optimizer.lr) == optimizer
    assert (config.optimizer.momentum, config.optimizer.nesterov) == (0.9, optimizer[0] != "sgd")
    assert (config.optimizer.weight_decay, config.label_smoothing) == (1e-4, 0)
    assert (config.epochs, config.batch_size, config.drop_last, config.seed) == (180, 128, True, 42)
    assert config.schedule.name == "step"
    assert [round(milestone * 180) for milestone in config.schedule.milestones] == [100, 150]
    assert (config.schedule.gamma, config.schedule.warmup) == (0.1, 0)
    assert (config.augment.crop_size, config.augment.crop_scale) == (32, 0.8)
    assert config.augment.crop_ratio == (0.9, 1.1)
    assert (config.augment.flip_horizontal, config.augment.colour) == (0.5, 0)
    assert (config.input.size, config.input.mean, config.input.mirror) == (32, None, False)


def test_the_flower_recipe_is_the_tutorials() -> None:
    config = load_config(CONFIGS / "flowers.yaml")

    assert (config.model.name, config.input.size, config.augment.crop_size) == ("flowernet", 224, 224)
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("adam", 2e-4, 0)
    assert (config.epochs, config.batch_size, config.selection) == (10, 32, "best")
    assert (config.augment.flip_horizontal, config.schedule.name) == (0.5, "constant")
