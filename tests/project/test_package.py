"""The package as a whole: quick to import, documented, and with imports that point one way."""

import ast
import configparser
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import paddle_wrn
from paddle_wrn._version import __version__

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "paddle_wrn"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# those that run as `python -m paddle_wrn.<name>`
COMMANDS = {  # `python -m paddle_wrn.models` is a view of a library package, not a command module
    path.stem
    for path in SOURCES
    if '\nif __name__ == "__main__":' in path.read_text("utf-8") and path.stem != "__main__"
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> set[str]:
    """Return the full names of what a file imports anywhere, `from a import b` as both `a` and `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_import_is_quick() -> None:
    code = "import json, sys, paddle_wrn; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "paddle_wrn" in loaded
    slow = {"paddle", "visualdl", "matplotlib", "sklearn", "scipy", "PIL", "numpy", "pydantic"}
    assert loaded & slow == set()
    assert done.stderr == ""


@pytest.mark.parametrize("name", paddle_wrn.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(paddle_wrn, name) is not None


def test_public_networks_are_those_of_their_module() -> None:
    from paddle_wrn.models.wide_resnet import WideResNet

    assert paddle_wrn.WideResNet is WideResNet


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'paddle_wrn' has no attribute 'ResNet'"):
        _ = paddle_wrn.ResNet


def test_the_version_is_written_once() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert setup["metadata"]["version"] == "attr: paddle_wrn._version.__version__"
    assert paddle_wrn.__version__ == __version__
    assert importlib.import_module("paddle_wrn._version").__version__ == __version__


def test_the_base_pulls_in_no_paddle() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert "paddlepaddle" not in setup["options"]["install_requires"]
    assert "paddlepaddle >= 2.6.2" in setup["options.extras_require"]["cpu"]
    assert "paddlepaddle-gpu >= 2.6.2" in setup["options.extras_require"]["gpu"]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))


def test_the_commands_are_found() -> None:
    assert {"split_data", "train", "evaluate", "predict"} <= COMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_main_and_a_function_of_its_name(name: str) -> None:
    module = importlib.import_module(f"paddle_wrn.{name}")
    assert callable(module.main)
    assert callable(getattr(module, "serve" if name == "app" else name))  # a page is served until Ctrl-C


def test_no_circle_among_the_modules() -> None:
    graph = {module_name(path): imported_modules(path) for path in SOURCES}
    graph = {name: {other for other in graph if other in found} for name, found in graph.items()}
    graph["paddle_wrn"] = set()  # imports its models on first use only; everybody imports the package itself

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        for other in graph[name] - {"paddle_wrn"}:
            visit(other, (*above, name))

    for name in graph:
        visit(name, ())
