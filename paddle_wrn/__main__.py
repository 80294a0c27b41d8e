"""List the commands, or run one: `paddle_wrn train ...` is `python -m paddle_wrn.train ...`."""

import ast
import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.cli import command
from paddle_wrn.errors import UserError

COMMANDS = (  # in the order in which one needs them
    "split_data",
    "train",
    "evaluate",
    "predict",
    "report",
    "app",
    "calibrate",
    "check_labels",
    "compare",
    "board",
    "models",
    "export",
    "import_weights",
)


def first_line(name: str) -> str:
    """Return what a command does, read from its file: importing all of them takes seconds."""
    file = Path(__file__).parents[1].joinpath(*module_of(name).split(".")).with_suffix(".py")
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def module_of(name: str) -> str:
    """Return the module of a command; that of `models` is inside a library."""
    is_file = Path(__file__).with_name(f"{name}.py").is_file()
    return f"paddle_wrn.{name}" if is_file else f"paddle_wrn.{name}.__main__"


def list_of_commands() -> str:
    """Return the commands, a line each, and how one is run."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: python -m paddle_wrn.COMMAND ...   (or: paddle_wrn COMMAND ...)",
            "",
            *(f"  {name:{width}}  {first_line(name)}" for name in COMMANDS),
            "",
            "Each explains itself: python -m paddle_wrn.train --help",
        ]
    )


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(list_of_commands())
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.0)[0]
        raise UserError(f"{name}: there is no such command; did you mean {near}?")
    code: int = importlib.import_module(module_of(name)).main(rest)
    return code


if __name__ == "__main__":
    sys.exit(main())
