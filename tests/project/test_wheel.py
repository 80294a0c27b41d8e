"""The package where it is installed: a wheel in a new environment, used from an empty folder."""

import configparser
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "paddle_wrn", "configs")
SETUPTOOLS = 77  # as pyproject.toml asks for; older ones cannot build a wheel by themselves


def setuptools_here() -> int:
    try:
        return int(version("setuptools").partition(".")[0])
    except PackageNotFoundError:
        return 0


needs_setuptools = pytest.mark.skipif(
    setuptools_here() < SETUPTOOLS, reason=f"needs setuptools {SETUPTOOLS}, which is in the extra dev"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel of the package, built from a copy, so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy)
    words = (
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--wheel-dir",
        "dist",
        ".",
    )
    subprocess.run([sys.executable, "-m", "pip", *words], cwd=copy, check=True)
    (built,) = (copy / "dist").glob("paddle_wrn-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of a new environment that has the wheel, and what it needs from this environment.

    This environment's own paddle_wrn is not there: its `.pth` files do not count in another one.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / ("python.exe" if os.name == "nt" else "python")
    words = ("--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    (site_packages,) = folder.rglob("site-packages")
    outer = [path for path in sys.path if "site-packages" in path or "dist-packages" in path]
    (site_packages / "outer.pth").write_text("".join(f"{path}\n" for path in outer), encoding="utf-8")
    return programs


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that is empty when the first test of this file uses it."""
    return tmp_path_factory.mktemp("empty")


def run(programs: Path, folder: Path, program: str, *words: object, code: int = 0) -> str:
    """Run a program of an environment in a folder, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = shutil.which(program, path=str(programs))
    assert found is not None
    command = [found, *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_setup_names_every_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    folders = {file.parent for file in (ROOT / "paddle_wrn").rglob("__init__.py")}
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders} | {"paddle_wrn.configs"}
    assert set(setup["options"]["packages"].split()) == found


@needs_setuptools
def test_the_wheel_holds_each_file_once(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    inside = Counter(Path(name).name for name in names)
    for file in (ROOT / "configs").iterdir():
        assert f"paddle_wrn/configs/{file.name}" in names
        assert inside[file.name] == 1
    for file in (ROOT / "paddle_wrn").rglob("*"):
        if file.is_file() and file.suffix != ".pyc":
            assert file.relative_to(ROOT).as_posix() in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"paddle_wrn"}


@needs_setuptools
@pytest.mark.slow
def test_it_works_in_an_empty_folder(installed: Path, empty: Path) -> None:
    where = run(installed, empty, "python", "-c", "import paddle_wrn; print(paddle_wrn.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)

    said = run(installed, empty, "python", "-m", "paddle_wrn.split_data")
    assert "next: python -m paddle_wrn.train --data data/sample_birds" in said.replace(os.sep, "/")

    said = run(installed, empty, "paddle_wrn", "train", "--config", "smoke", "--epochs", 1)
    assert "epoch 1/1" in said
    trained = Path("runs", "sample_birds-smoke")
    photo = Path("data/sample_birds/photos/Cockatoo/cockatoo_000.jpg")
    said = run(installed, empty, "python", "-m", "paddle_wrn.predict", trained, photo)
    assert said.startswith(f"{photo}: ")
    run(installed, empty, "paddle_wrn", "report", trained, "--language", "zh")
    assert (empty / trained / "report.zh.html").stat().st_size > 100_000

    assert {path.name for path in empty.iterdir()} == {"data", "runs"}


@needs_setuptools
@pytest.mark.slow
def test_shipped_configurations_are_found_by_name(installed: Path, empty: Path) -> None:
    code = (
        "from paddle_wrn.config import Config, load_config\n"
        "print(load_config('birds') == Config(), load_config('tutorial.yaml').epochs)"
    )
    assert run(installed, empty, "python", "-c", code) == "True 60\n"
    said = run(installed, empty, "paddle_wrn", "train", "--config", "tutorail", code=2)
    assert said.startswith(
        "error: tutorail: no such configuration file; the nearest shipped one is tutorial "
    )


@needs_setuptools
@pytest.mark.slow
def test_the_commands_are_listed(installed: Path, empty: Path) -> None:
    said = run(installed, empty, "python", "-m", "paddle_wrn")
    assert said == run(installed, empty, "paddle_wrn", "--help")
    assert "\n  train           Train a network on the lists that split_data wrote.\n" in said
    assert run(installed, empty, "paddle_wrn", "train", "--help") == run(
        installed, empty, "python", "-m", "paddle_wrn.train", "--help"
    )
