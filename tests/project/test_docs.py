"""The documentation: links lead somewhere, generated pages are what the code gives, examples run."""

import importlib.util
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from paddle_wrn.models import registry

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)>\s]+)|(?:src|href)=\"([^\"]+)\"")


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


generator = load_generator()


def links(text: str) -> Iterator[str]:
    """Yield the targets of links and pictures, those in code excepted."""
    prose = re.sub(r"`[^`\n]*`", "`code`", FENCE.sub("", text))
    for match in LINK.finditer(prose):
        yield match.group(1) or match.group(2)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings; a repeated one gets a number."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        slug, number = generator.slug(heading), 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):  # the outside world is not asked
            continue
        name, _, anchor = unquote(link).partition("#")
        target = page.parent / name if name else page
        exists = target.exists() and target.resolve().is_relative_to(ROOT)
        if not exists or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_anchors_and_pictures_are_there(page: Path) -> None:
    assert broken_links(page) == []


def test_what_is_broken_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "other.md").write_text(
        "# A `b_c` (d)\n\n## Twice\n\n## Twice\n\n## 三份列表\n", encoding="utf-8"
    )
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[ok](other.md#a-b_c-d) [ok](other.md#twice-1) [ok](#here) [ok](other.md#三份列表)\n"
        "[out](https://example.com/nothing) `[code](nowhere.md)`\n```\n[code](nowhere.md)\n```\n"
        '[a](nowhere.md) ![b](b.png) [c](other.md#twice-2) [d](#nowhere) <img src="e.png"> [f](../f.md)\n'
        "[![g](g.png)](other.md)\n",
        encoding="utf-8",
    )
    found = {"nowhere.md", "b.png", "other.md#twice-2", "#nowhere", "e.png", "../f.md", "g.png"}
    assert set(broken_links(page)) == found


@pytest.mark.parametrize("folder", [DOCS, DOCS / "zh"], ids=["en", "zh"])
def test_the_map_leads_to_every_page(folder: Path) -> None:
    linked = set(links((folder / "README.md").read_text(encoding="utf-8")))
    assert {page.name for page in folder.glob("*.md")} - {"README.md"} - linked == set()


def test_every_picture_is_on_a_page() -> None:
    linked = {(page.parent / link).resolve() for page in PAGES for link in links(page.read_text("utf-8"))}
    assert set((DOCS / "images").iterdir()) - linked == set()


@pytest.mark.parametrize("name", sorted(generator.PAGES))
def test_generated_pages_are_what_the_code_gives(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generator.PAGES[name](), "run: python docs/generate.py"


def test_the_commands_page_finds_commands_and_arguments() -> None:
    found = dict(generator.find_commands())
    assert [call.rpartition(".")[2] for call in found][:4] == ["split_data", "train", "evaluate", "predict"]
    assert {"python -m paddle_wrn.models", "python data_tools/show_augmentation.py"} <= found.keys()
    assert "python -m paddle_wrn.loop" not in found
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert "| `--preview` |" in page
    assert "| `[SOURCE]` |" in page


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "exclusiveMinimum": 0}, "integer > 0"),
        ({"type": "number", "minimum": 0.0, "maximum": 1.0}, "number ≥ 0 and ≤ 1"),
        ({"type": "string", "enum": ["a", "b"]}, "`a`, `b`"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or `null`"),
        ({"type": "array", "prefixItems": [{"type": "number"}] * 3}, "3 numbers"),
        ({"type": "array", "items": {"type": "number", "exclusiveMaximum": 1}}, "list of numbers &lt; 1"),
    ],
)
def test_values_are_said_in_words(schema: dict[str, object], words: str) -> None:
    assert generator._values(schema) == words


@pytest.mark.slow
def test_the_examples_of_the_api_run_as_they_stand(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(photo_folder, tmp_path / "my_photos")
    shutil.copy(next(photo_folder.rglob("*.jpg")), tmp_path / "new_photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_networks", dict(registry._networks))
    page = (DOCS / "python_api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 6
    names: dict[str, object] = {"__name__": "python_api"}
    for block in blocks:
        exec(compile(block, "docs/python_api.md", "exec"), names)
    out = capsys.readouterr().out
    assert "did you mean optimizer.lr?" in out
    assert "left out:" not in out
    assert (tmp_path / "answer.png").is_file()
    assert (tmp_path / "lists/birds/preview.png").is_file()
    assert (tmp_path / "runs/first/report.zh.html").is_file()
    assert list((tmp_path / "exported/first").glob("*.pdiparams"))
