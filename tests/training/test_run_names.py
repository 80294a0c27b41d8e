"""Tests of where a run goes when no output is named."""

from pathlib import Path

import pytest

from paddle_wrn.config import Config, load_config
from paddle_wrn.training.session import train


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (None, "birds"),
        ("smoke", "smoke"),
        ("smoke.yaml", "smoke"),
        (Path("my recipe.yaml"), "my recipe"),
        (Config(), "wrn_16_1"),
        (load_config(None, {"model.name": "resnet_cifar"}), "resnet_cifar"),
    ],
    ids=str,
)
def test_a_run_goes_by_its_lists_and_its_configuration(
    config: Config | Path | str | None,
    name: str,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my recipe.yaml").write_text("epochs: 1\n")
    begun = []
    monkeypatch.setattr(
        "paddle_wrn.training.session._train_run", lambda setup, again: begun.append(setup.run.path)
    )
    train(config, data=data_folder, settings={"input.size": 16, "augment.crop_size": None})
    assert begun == [Path("runs", f"lists-{name}")]
