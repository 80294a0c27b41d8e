"""What all pages are made with: templates that escape, pictures inside the page, languages."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from paddle_wrn.errors import UserError
from paddle_wrn.pages.html import data_uri, render
from paddle_wrn.pages.languages import LANGUAGES, check_language


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a package with one template."""
    folder = tmp_path / "package_of_a_page"
    (folder / "templates").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "templates" / "page.html").write_text("<p>{{ name }}</p>\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_what_a_stranger_has_named_is_text(package: str) -> None:
    assert render(package, "page.html", name="<b>鸟&") == "<p>&lt;b&gt;鸟&amp;</p>"


def test_a_value_that_was_forgotten_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render(package, "page.html")


def test_a_picture_lies_inside_its_address() -> None:
    picture = np.full((20, 30, 3), (10, 120, 240), np.uint8)
    kind, _, content = data_uri(picture, 90).partition(",")

    assert kind == "data:image/jpeg;base64"
    with Image.open(BytesIO(base64.b64decode(content))) as image:
        assert (image.format, image.size) == ("JPEG", (30, 20))
        assert np.abs(np.asarray(image).astype(int) - picture).max() < 8


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_there_are(language: str) -> None:
    check_language(language)


def test_another_language_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"^language: found 'fr'; choose en or zh$"):
        check_language("fr")
