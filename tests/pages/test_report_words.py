"""The sentences of the report: both languages say the same, and nothing is left unsaid."""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Formatter

import pytest
from conftest import RunMain
from report_page import Page, copy_run

from paddle_wrn.pages import report as package
from paddle_wrn.pages.languages import LANGUAGES
from paddle_wrn.pages.report import report
from paddle_wrn.pages.report.page import REASONS
from paddle_wrn.pages.report.texts import read_texts
from paddle_wrn.photos.splitting import photo_folder as photo_folder_module
from paddle_wrn.report import main

HOME = Path(package.__file__).parent


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return copy_run(trained, tmp_path)


def test_both_tables_name_the_same_sentences_with_the_same_gaps() -> None:
    def gaps(texts: Mapping[str, str]) -> dict[str, list[str]]:
        return {name: sorted({gap for _, gap, _, _ in Formatter().parse(text) if gap})
                for name, text in texts.items()}  # fmt: skip

    assert gaps(read_texts("en")) == gaps(read_texts("zh"))
    assert all(isinstance(text, str) for language in LANGUAGES for text in read_texts(language).values())


def test_every_sentence_is_used() -> None:
    files = [*HOME.glob("templates/*.html"), *HOME.glob("*.py")]
    source = "".join(file.read_text("utf-8") for file in files)
    computed = {f"{part}_{name}" for part in ("verdict", "unseen", "of") for name in ("test", "val")}
    unused = [name for name in read_texts("en") if f'"{name}"' not in source and name not in computed]
    assert unused == []


def test_every_reason_to_leave_a_file_out_has_its_sentence() -> None:
    source = Path(photo_folder_module.__file__).read_text("utf-8")
    constants = re.findall(r'^[A-Z_0-9]+ = "([^"]* [^"]*)"$', source, flags=re.MULTILINE)
    assert len(constants) >= 10
    assert set(constants) <= REASONS.keys()


def test_the_chinese_page_has_no_english_words(run: Path) -> None:
    file = report(run, language="zh")
    page = Page(file)
    assert file == run / "report.zh.html"
    assert page.of("html")[0]["lang"] == "zh-CN"
    assert "蓝圆 Blue Disc 8 2 2 12" in page.text
    assert re.search(r"6 张测试照片答对 \d 张：真实的准确率很可能在 \d+% 到 \d+% 之间。", page.text)
    attributes = [value or "" for _, given in page.tags for name, value in given.items()
                  if name in ("alt", "aria-label")]  # fmt: skip
    names = r"<pre.*?</pre>|<code>.*?</code>|<caption>.*?</caption>|<p class=\"path\">.*?</p>"
    body = re.sub(names, "", page.html.partition("</style>")[2], flags=re.DOTALL)
    text = " ".join([re.sub(r"<[^>]*>", " ", body), *attributes])
    for sentence in read_texts("en").values():
        if len(sentence) > 5 and sentence.isascii() and "{" not in sentence:
            assert sentence not in text


def test_an_unknown_language_is_refused(run: Path, run_main: RunMain) -> None:
    outcome = run_main(main, run, "--language", "fr")
    assert outcome.code == 2
    assert "language: found 'fr'; choose en or zh" in outcome.err
