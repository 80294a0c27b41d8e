"""Shipped configurations by name: in a checkout here, where a wheel is installed in test_wheel.py."""

from pathlib import Path

import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.system import shipped
from paddle_wrn.system.shipped import find_config, shipped_configs

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_shipped_ones_are_the_files_in_configs() -> None:
    assert shipped_configs() == {file.stem: file for file in CONFIGS.iterdir()}


def test_those_inside_the_package_come_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "configs").mkdir()
    (here / "configs" / "installed.yaml").touch()
    monkeypatch.setattr(shipped, "_PLACES", (here / "configs", CONFIGS))
    assert shipped_configs() == {"installed": here / "configs" / "installed.yaml"}


@pytest.mark.parametrize("given", ["tutorial", "tutorial.yaml", Path("tutorial")])
def test_a_name_is_enough(given: Path | str) -> None:
    assert find_config(given).samefile(CONFIGS / "tutorial.yaml")


def test_a_folder_of_that_name_is_not_meant(here: Path) -> None:
    (here / "birds").mkdir()
    assert find_config("birds").samefile(CONFIGS / "birds.yaml")


@pytest.mark.parametrize("name", ["birds", "birds.yaml", "mine.yml"])
def test_a_file_of_the_users_comes_first(name: str, here: Path) -> None:
    (here / name).touch()
    assert find_config(name).samefile(here / name)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("tutorail", "tutorial"),
        ("bird.yaml", "birds"),
        ("configs/tutorial.yaml", "tutorial"),  # of a checkout that is not here
        ("elsewhere/birds", "birds"),
    ],
)
def test_an_unknown_name_is_told_the_nearest_and_all(given: str, near: str) -> None:
    with pytest.raises(UserError) as error:
        find_config(given)
    names = ", ".join(shipped_configs())
    assert str(error.value) == (
        f"{given}: no such configuration file; the nearest shipped one is {near} (all of them: {names})"
    )


def test_a_folder_is_refused(here: Path) -> None:
    (here / "mine").mkdir()
    with pytest.raises(UserError, match=r"^mine: is a folder; give a YAML file or the name of a shipped"):
        find_config("mine")
