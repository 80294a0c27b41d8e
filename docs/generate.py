"""Write docs/commands.md and docs/settings.md from the code.

python docs/generate.py

Commands are found by their `main`, settings by `paddle_wrn.config`. A test fails when the pages are not what
the code gives.
"""

import argparse
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from paddle_wrn import __main__ as program  # noqa: E402
from paddle_wrn.config import Config, Section, load_config  # noqa: E402

NOTE = "<!-- Written by docs/generate.py; change the code and run it again. -->\n"
COMMANDS = """# Commands

`python -m paddle_wrn` lists the commands, and each explains itself with `--help`. Once the package is
installed, `paddle_wrn train ...` does the same as `python -m paddle_wrn.train ...`. A command ends with exit
code 0 if all went well. If you have to change something, it says so in one sentence and ends with exit code
2. Nearly every command is also a Python function: [Python API](python_api.md).
"""
SETTINGS = """# Settings

Settings come from three places, and each overrides the one before: the defaults below, a configuration
(`--config`, a YAML file or the name of a shipped one), and the command line (`--optimizer.lr 0.05`). In
Python, that is `train(config, settings={"optimizer.lr": 0.05})`. An unknown name or an impossible value ends
the command with one sentence. The defaults are a recipe for a few hundred photos ([results](results.md))."""


def find_commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield how each command is called and its parser."""
    for name in program.COMMANDS:
        yield from _parser(program.module_of(name), f"python -m paddle_wrn.{name}")
    for file in sorted((ROOT / "data_tools").glob("*.py")):
        yield from _parser(f"data_tools.{file.stem}", f"python data_tools/{file.name}")


def _parser(module: str, call: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the command of a module with the parser it makes, if the module is a command."""
    file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if "\ndef main(" not in file.read_text(encoding="utf-8"):
        return

    found = []

    def stop(self: argparse.ArgumentParser, *_: object) -> None:
        found.append(self)
        raise SystemExit

    with patch.object(argparse.ArgumentParser, "parse_known_args", stop), suppress(SystemExit):
        importlib.import_module(module).main([])
    yield call, found[0]


def commands_page() -> str:
    """Return docs/commands.md."""
    found = list(find_commands())
    lines = [NOTE, COMMANDS, "| command | what it does |", "|---|---|"]
    for call, parser in found:
        lines.append(f"| [`{call}`](#{slug(call)}) | {_first_sentence(parser)} |")
    for call, parser in found:
        lines += ["", f"## {call}", "", _prose(parser.description or ""), "", *_arguments(parser)]
        lines += _from_python(call)
        if call.endswith(".train"):
            lines += ["", "You can add every setting as `--name VALUE`: [settings](settings.md)."]
    return "\n".join(lines) + "\n"


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    rows = ["| argument | meaning |", "|---|---|"]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        meaning = (action.help or "") % {**vars(action), "prog": parser.prog}
        rows.append(f"| `{_shape(action)}` | {_cell(meaning)} |")
    return rows


def _from_python(call: str) -> list[str]:
    """Return how the function of a command is called, if it has the command's name."""
    module = call.split()[-1].removesuffix(".py").replace("/", ".")
    name = module.rpartition(".")[2]
    function = getattr(importlib.import_module(module), name, None)
    if not callable(function):
        return []
    signature = inspect.signature(function)
    plain = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    shown = signature.replace(parameters=plain, return_annotation=signature.empty)
    return ["", f"From Python: `{module}.{name}{shown}`"]


def _shape(action: argparse.Action) -> str:
    """Return an argument as it is written, such as `--output DIR` or `[SOURCE]`."""
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    names = action.metavar or ("{%s}" % ",".join(map(str, action.choices)) if action.choices else None)  # noqa: UP031
    name = names if isinstance(names, str) else action.dest.upper()
    value = {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)
    return f"{', '.join(action.option_strings)} {value}".strip()


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = [NOTE, SETTINGS]
    schema = Config.model_json_schema()
    whole = {name: field for name, field in Config.model_fields.items() if not _is_section(field.annotation)}
    lines += ["", "## The run", "", *_settings_table("", whole, schema["properties"])]
    for name, field in Config.model_fields.items():
        if _is_section(field.annotation):
            section = field.annotation
            properties = schema["$defs"][section.__name__]["properties"]
            heading = ["", f"## {name}", "", section.__doc__ or "", ""]
            lines += [*heading, *_settings_table(f"{name}.", section.model_fields, properties)]
    lines += ["", "## Shipped configurations", "",
              "`--config NAME` takes one of these. Each changes some of the defaults."]  # fmt: skip
    for file in sorted((ROOT / "configs").glob("*.yaml")):
        lines += ["", f"### {file.stem}", "", _header(file), "", _changes(file)]
    return "\n".join(lines) + "\n"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _settings_table(prefix: str, fields: Mapping[str, Any], properties: Mapping[str, Any]) -> list[str]:
    rows = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        default = json.dumps(field.default)
        rows.append(
            f"| `{prefix}{name}` | {_values(properties[name])} | `{default}` | {_cell(field.description)} |"
        )
    return rows


def _values(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        inner = schema["prefixItems"] if "prefixItems" in schema else [schema["items"]]
        number = str(len(inner)) if "prefixItems" in schema else "list of"
        return f"{number} {_values(inner[0]).replace('number', 'numbers')}"
    words = {"null": "`null`", "boolean": "`true`, `false`", "string": "text", "object": "mapping"}
    text = words.get(str(kind), str(kind))
    bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "&lt;"))
    limits = [f"{sign} {schema[name]}".removesuffix(".0") for name, sign in bounds if name in schema]
    return " ".join([text, " and ".join(limits)]).strip()


def _header(file: Path) -> str:
    """Return the first paragraph of the comment that begins a configuration."""
    lines = file.read_text(encoding="utf-8").splitlines()
    comment = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    paragraph = " ".join(comment[: comment.index("")] if "" in comment else comment)
    return _escaped(paragraph.removesuffix(":").removesuffix(".")) + "."


def _changes(file: Path) -> str:
    before, after = (_flat(config.model_dump(mode="json")) for config in (Config(), load_config(file)))
    changed = [name for name in after if after[name] != before[name]]
    shown = {
        name: yaml.safe_dump(after[name], default_flow_style=True).removesuffix("\n...\n").strip()
        for name in changed
    }
    return (
        ", ".join(f"`{name}: {value}`" for name, value in shown.items()) or "Nothing: these are the defaults."
    )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in settings.items():
        if _is_section(Config.model_fields[name].annotation):
            flat |= {f"{name}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            flat[name] = value
    return flat


def slug(heading: str) -> str:
    """Return the anchor that GitHub and Gitee give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def _first_sentence(parser: argparse.ArgumentParser) -> str:
    paragraph = (parser.description or "").strip().split("\n\n")[0]
    return _cell(re.split(r"(?<=\.)\s", paragraph)[0])


def _prose(description: str) -> str:
    """Return a docstring as Markdown: indented paragraphs, and those that are a command, are code."""
    return "\n\n".join(
        part if part.startswith("    ") else f"    {part}" if part.startswith("python ") else _escaped(part)
        for part in description.strip().split("\n\n")
    )


def _cell(text: str | None) -> str:
    return _escaped(" ".join((text or "").split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Keep Markdown from reading `<` and `*` outside of code as its own."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts)


PAGES = {"commands.md": commands_page, "settings.md": settings_page}


def main() -> int:
    """Write the pages."""
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
