"""A report that was written, taken apart; and the run it is written about."""

import shutil
from html.parser import HTMLParser
from pathlib import Path

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import store_calibration

FITTED = Calibration(temperature=0.5, threshold=0.45, photos=6)


def copy_run(trained: Path, folder: Path) -> Path:
    """Return a copy of a finished run in another folder, with a calibration of known numbers."""
    run = shutil.copytree(trained, folder / "run")
    store_calibration(run, FITTED)
    return run


class Page(HTMLParser):
    """A page that was taken apart; tags that are not closed, or in another order, fail."""

    EMPTY = frozenset({"meta", "img", "br"})

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.html = file.read_text("utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.html)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def of(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [
            given for name, given in self.tags if name == tag and (kind is None or given.get("class") == kind)
        ]
