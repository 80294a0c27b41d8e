"""The picture of a split: what is on it, and that it never shows other lists than those beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RunMain
from PIL import Image

from paddle_wrn.drawing import plots, sheets
from paddle_wrn.errors import UserError
from paddle_wrn.photos.splitting import preview
from paddle_wrn.photos.splitting.split import split_data
from paddle_wrn.split_data import main, report


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with 12 grey egrets and 4 owls, each of its own shape of noise."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, count in {"egret": 12, "雪鸮 owl": 4}.items():
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 256, (6, 6, 3), np.uint8)
            noise[..., 0] = 10 * number
            Image.fromarray(noise).resize((40, 30), Image.Resampling.NEAREST).save(
                folder / f"{number:02}.png"
            )
    return tmp_path / "photos"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is drawn: rows and title of each sheet."""
    calls: list[Any] = []
    monkeypatch.setattr(sheets, "class_sheet", lambda *given: calls.append(given))
    monkeypatch.setattr(plots, "save", lambda figure, file: file.write_bytes(b"a picture"))
    return calls


@pytest.mark.usefixtures("photos")
def test_a_row_shows_five_photos_from_the_first_to_the_last_and_the_counts(
    drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "can_draw", lambda text: text.isascii())
    split_data("photos", preview=True)

    ((rows, title),) = drawn
    assert title == "16 photos of 2 classes: 10 train, 3 val, 3 test"
    (name, note, images), (other, _, few) = rows
    assert (name, note, other) == ("egret", "8 train · 2 val · 2 test", "class 1")
    assert images.shape == (5, 256, 256, 3)
    assert images[:, 128, 128, 0].tolist() == [0, 30, 60, 80, 110]
    assert few[:, 128, 128, 0].tolist() == [0, 10, 20, 30]


@pytest.mark.usefixtures("photos")
def test_many_classes_are_cut_and_the_title_says_so(
    drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "MOST_CLASSES", 1)
    split_data("photos", preview=True)

    ((rows, title),) = drawn
    assert len(rows) == 1
    assert title.endswith("; the first 1 classes")


@pytest.mark.usefixtures("photos")
def test_the_command_draws_a_picture_beside_the_lists_and_says_where(run_main: RunMain) -> None:
    outcome = run_main(main, "photos", "--preview")

    assert outcome.code == 0
    assert "preview: data/photos/preview.png\n" in outcome.out
    first = Path("data/photos/preview.png").read_bytes()
    assert run_main(main, "photos", "--preview").out.count("unchanged") == 1
    assert Path("data/photos/preview.png").read_bytes() == first
    with Image.open("data/photos/preview.png") as picture:
        assert (picture.format, picture.width) == ("PNG", 1382)


@pytest.mark.usefixtures("photos", "drawn")
def test_a_picture_of_other_lists_does_not_stay() -> None:
    split = split_data("photos", preview=True)
    assert split.preview == Path("data/photos/preview.png")
    assert split_data("photos").preview is None
    assert split.preview.is_file()  # the lists are the same
    split_data("photos", seed=1, overwrite=True)
    assert not split.preview.exists()


@pytest.mark.usefixtures("drawn")
def test_a_preview_among_the_photos_is_no_photo(photos: Path) -> None:
    first = split_data(photos, photos, preview=True)
    again = split_data(photos, photos)
    assert (photos / "preview.png").is_file()
    assert (again.status, again.left_out) == ("unchanged", first.left_out)


def test_photos_from_an_archive_are_drawn(
    photos: Path, drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.make_archive("birds", "zip", photos)
    split = split_data("birds.zip", preview=True)
    assert len(drawn) == 1
    assert "preview: data/birds/preview.png" in report(split)


def test_a_dry_run_draws_nothing(photos: Path) -> None:
    with pytest.raises(UserError, match="preview: a dry run writes nothing"):
        split_data(photos, "lists", preview=True, dry_run=True)
    assert not Path("lists").exists()
