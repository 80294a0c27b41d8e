"""`python -m paddle_wrn`: the list of commands, and one of them."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import RunMain

from paddle_wrn.__main__ import COMMANDS, first_line, main

PACKAGE = Path(__file__).parents[2] / "paddle_wrn"


def is_command(file: Path) -> bool:
    tree = ast.parse(file.read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)


def test_every_command_is_in_the_list() -> None:
    files = [*PACKAGE.glob("*.py"), *PACKAGE.glob("*/__main__.py")]
    found = [file for file in files if is_command(file) and file != PACKAGE / "__main__.py"]
    names = [file.parent.name if file.stem == "__main__" else file.stem for file in found]
    assert sorted(COMMANDS) == sorted(names)


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)], ids=str)
def test_the_commands_are_listed_a_line_each(words: tuple[str, ...], run_main: RunMain) -> None:
    outcome = run_main(main, *words)
    assert outcome.code == 0
    listed = [line.split(maxsplit=1) for line in outcome.out.splitlines() if line.startswith("  ")]
    assert listed == [[name, first_line(name)] for name in COMMANDS]
    assert all(line.endswith(".") for _, line in listed)


def test_the_list_loads_no_command() -> None:
    code = (
        "import json, runpy, sys\n"
        "try:\n    runpy.run_module('paddle_wrn', run_name='__main__')\n"
        "except SystemExit as end:\n    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    exit_code, loaded = json.loads(done.stderr)
    assert exit_code == 0
    assert set(loaded) & {"paddle", "numpy", "pydantic", "PIL", "paddle_wrn.train"} == set()
    assert "paddle_wrn.cli" in loaded


@pytest.mark.parametrize(
    ("name", "near"), [("trian", "train"), ("split", "split_data"), ("nosuch", "models"), ("--colour", "")]
)
def test_an_unknown_command_is_told_the_nearest(name: str, near: str, run_main: RunMain) -> None:
    outcome = run_main(main, name, "--data", "photos")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {name}: there is no such command; did you mean {near}")


def test_a_command_is_run_with_its_words(run_main: RunMain) -> None:
    from paddle_wrn.train import main as train_main

    for words in (("--help",), ("--config", "nosuch"), ("--optimizer.lrr", "1")):
        assert run_main(main, "train", *words) == run_main(train_main, *words)


def test_the_command_of_a_library_is_run_too(run_main: RunMain) -> None:
    outcome = run_main(main, "models", "wrn_10_1")
    assert outcome.code == 0
    assert outcome.out.startswith("wrn_10_1: ")
