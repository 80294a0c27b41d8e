"""The rooms of the package and what may know of what: a table of layers, and the rules that hold for all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddle_wrn.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "paddle_wrn"

# From bottom to top. A module imports from its own room and from the layers below, nothing else. A room is
# the first part of a name after `paddle_wrn`; a command is a room of its own, so no command imports another.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "_version"}),
    frozenset({"system"}),
    frozenset({"config", "scoring"}),
    frozenset({"drawing"}),
    frozenset({"models"}),
    frozenset({"native"}),
    frozenset({"photos"}),
    frozenset({"runs"}),
    frozenset({"answering"}),
    frozenset({"training"}),
    frozenset({"studies", "deploy"}),
    frozenset({"pages"}),
    frozenset({"cli"}),
    frozenset(f"command {name}" for name in (*COMMANDS, "__main__")),
    frozenset({"__init__"}),  # the package as others see it
)
TALKING = LAYERS[-3] | LAYERS[-2]  # these print, and end with an exit code
MAY_TALK = {
    "__init__.py": "without a Paddle there is no command that could say so",
    "deploy/example.py": "is copied into an exported folder and runs there, as a program of its own",
    "pages/board.py": "serves until it is ended, and says first where",
    "pages/web/server.py": "serves until it is ended, and says first where",
    "system/signals.py": "answers Ctrl-C at once, whatever the log is at",
}
PRINTS_OR_EXITS = {"print", "sys.stdout.write", "sys.stderr.write", "exit", "quit", "sys.exit", "os._exit"}
# Rooms that NumPy and Pillow are enough for: they never load Paddle.
WITHOUT_PADDLE = {"errors", "_version", "config", "drawing", "photos", "scoring", "cli"}
SOURCES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(parts: tuple[str, ...]) -> str:
    """Return the room of a module, given by the parts of its name after `paddle_wrn`."""
    if parts[-1:] == ("__main__",):
        return f"command {parts[-2] if len(parts) > 1 else '__main__'}"
    name = parts[0] if parts else "__init__"
    # `models` is a library, too; only its __main__ is the command
    return f"command {name}" if name in COMMANDS and (PACKAGE / f"{name}.py").is_file() else name


def room_of(path: Path) -> str:
    """Return the room of a file."""
    return room(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(tree: ast.AST) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line and the parts of the name of every module that is imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, tuple(alias.name.split("."))) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = tuple((node.module or "").split("."))
            for alias in node.names:
                place = ROOT.joinpath(*module, alias.name)
                if place.is_dir() or place.with_suffix(".py").is_file():
                    yield node.lineno, (*module, alias.name)
                else:  # a name that a module defines
                    yield node.lineno, ("paddle_wrn", "__init__") if module == ("paddle_wrn",) else module


def wrong_imports(source: str, own: str) -> list[str]:
    """Return what a file of the room `own` imports and should not."""
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    found = []
    for line, (top, *rest) in imports(ast.parse(source)):
        if top in ("data_tools", "tests", "benchmarks", "docs"):
            found.append(f"line {line}: {'.'.join([top, *rest])} is no part of the package")
        if top != "paddle_wrn" or not rest:
            continue
        other = room(tuple(rest))
        if other != own and level[other] >= level[own]:
            found.append(f"line {line}: {own} imports {other}")
    return found


def talk(tree: ast.AST) -> list[str]:
    """Return where a file prints or ends the process."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in PRINTS_OR_EXITS:
                found.append(f"line {node.lineno}: {name}()")
        elif isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
            found.append(f"line {node.lineno}: SystemExit")
    return found


def test_every_room_has_its_layer() -> None:
    table = [name for layer in LAYERS for name in layer]
    assert len(table) == len(set(table))
    assert {room_of(path) for path in SOURCES.values()} == set(table)


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_imports_from_its_own_room_or_from_below(name: str) -> None:
    assert wrong_imports(SOURCES[name].read_text("utf-8"), room_of(SOURCES[name])) == []


@pytest.mark.parametrize("name", [name for name, path in SOURCES.items() if room_of(path) not in TALKING])
def test_a_library_neither_prints_nor_exits(name: str) -> None:
    found = talk(ast.parse(SOURCES[name].read_text("utf-8")))
    assert found == [] or name in MAY_TALK


@pytest.mark.parametrize("name", [name for name, path in SOURCES.items() if room_of(path) in WITHOUT_PADDLE])
def test_these_rooms_never_load_paddle(name: str) -> None:
    assert "paddle" not in {top for _, (top, *_) in imports(ast.parse(SOURCES[name].read_text("utf-8")))}


def test_who_may_talk_does() -> None:
    assert all(talk(ast.parse(SOURCES[name].read_text("utf-8"))) for name in MAY_TALK)


@pytest.mark.parametrize(
    ("source", "own", "wrong"),
    [
        ("from paddle_wrn import deploy as d", "answering", "line 1: answering imports deploy"),
        ("import paddle_wrn.training.loop", "system", "line 1: system imports training"),
        ("def f():\n    from paddle_wrn.drawing import plots", "config", "line 2: config imports drawing"),
        ("from paddle_wrn.cli import parser", "pages", "line 1: pages imports cli"),
        (
            "from paddle_wrn.predict import predict",
            "command train",
            "line 1: command train imports command predict",
        ),
        ("from paddle_wrn.models.__main__ import main", "cli", "line 1: cli imports command models"),
        ("from paddle_wrn import models", "photos", None),
        ("from paddle_wrn.photos import lists", "photos", None),
        ("import paddle_wrn, numpy", "errors", None),
        ("from paddle_wrn import create_model", "photos", "line 1: photos imports __init__"),
        ("import data_tools.birds", "photos", "line 1: data_tools.birds is no part of the package"),
        ("import tests.conftest", "photos", "line 1: tests.conftest is no part of the package"),
    ],
)
def test_what_is_wrong_is_found(source: str, own: str, wrong: str | None) -> None:
    assert wrong_imports(source, own) == ([wrong] if wrong else [])


def test_talk_is_found() -> None:
    lines = [
        "print(1)",
        "sys.exit(2)",
        "raise SystemExit(3)",
        "raise SystemExit",
        "raise ValueError",
        "log()",
    ]
    found = sorted(talk(ast.parse("\n".join(lines))))
    assert found == ["line 1: print()", "line 2: sys.exit()", "line 3: SystemExit", "line 4: SystemExit"]
