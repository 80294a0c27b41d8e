"""The sentences of the page: one table a language, in `texts/`; no other file of the page holds words."""

from importlib.resources import files
from typing import Any

import yaml

from paddle_wrn.pages.languages import check_language


class Texts(dict[str, str]):
    """The sentences of one language by name; `texts("name", count=3)` fills one in."""

    def __call__(self, name: str, /, **values: Any) -> str:
        """Return a sentence; what is put in is text to escape, like all else."""
        return self[name].format(**values)

    def percent(self, share: float | None, digits: int = 0) -> str:
        """Return a share as `93 %`, or a dash where there is none."""
        return "–" if share is None else self("percent", value=f"{100 * share:.{digits}f}")

    def number(self, value: float) -> str:
        """Return a whole number with its thousands apart."""
        return f"{value:,.0f}"

    def seconds(self, value: float) -> str:
        """Return a time in the unit that suits it."""
        if value < 120:
            return self("seconds", value=f"{value:.0f}")
        if value < 7200:
            return self("minutes", value=f"{value / 60:.0f}")
        return self("hours", value=f"{value / 3600:.1f}")


def read_texts(language: str) -> Texts:
    """Return the table of a language.

    Raises:
        UserError: there is none.
    """
    check_language(language)
    file = files("paddle_wrn.pages.report") / "texts" / f"{language}.yaml"
    return Texts(yaml.safe_load(file.read_text(encoding="utf-8")))
