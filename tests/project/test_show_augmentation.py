"""Tests of the picture of augmented photos: what is drawn, and bad inputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RunMain
from PIL import Image

from data_tools.show_augmentation import main, show_augmentation
from paddle_wrn.config import load_config
from paddle_wrn.drawing import sheets
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos

FLIPS = load_config(
    None, {"input.size": 16, "augment.crop_size": None, "augment.flip_horizontal": 1, "augment.colour": 0}
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the rows and labels of each picture."""
    calls: list[Any] = []
    real = sheets.photo_rows

    def photo_rows(*given: Any) -> Any:
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(sheets, "photo_rows", photo_rows)
    return calls


def test_the_first_row_is_as_read_and_the_others_are_augmented(
    data_folder: Path, tmp_path: Path, drawn: list[Any]
) -> None:
    show_augmentation(data_folder, tmp_path / "a.png", config=FLIPS, photos=24)
    (((before, *versions), labels),) = drawn
    train = load_photos(read_data_folder(data_folder).train, 16, draft=True)
    np.testing.assert_array_equal(before, train.images)
    assert len(versions) == 3
    for version in versions:
        np.testing.assert_array_equal(version, before[:, :, ::-1])
    assert labels == ["as read", "augmented 1", "augmented 2", "augmented 3"]


def test_versions_differ_and_have_the_size_the_network_is_trained_with(
    data_folder: Path, tmp_path: Path, drawn: list[Any]
) -> None:
    show_augmentation(data_folder, tmp_path / "a.png", photos=2)
    before, *versions = drawn[0][0]
    assert before.shape == (2, 120, 120, 3)
    assert [version.shape for version in versions] == [(2, 96, 96, 3)] * 3
    assert len({version.tobytes() for version in versions}) == 3


def test_the_same_seed_gives_the_same_picture(data_folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        show_augmentation(data_folder, tmp_path / f"{name}.png", config=FLIPS, photos=3, seed=seed)
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in "abc"]
    assert pictures[0] == pictures[1] != pictures[2]


def test_command(data_folder: Path, tmp_path: Path, drawn: list[Any], run_main: RunMain) -> None:
    (tmp_path / "tiny.yaml").write_text("input: {size: 20}\naugment: {crop_size: 10}\n")
    outcome = run_main(
        *(main, data_folder, "--config", tmp_path / "tiny.yaml", "--output", tmp_path / "new" / "a.png"),
        *("--photos", 5, "--seed", 3),
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert [row.shape for row in drawn[0][0]] == [(5, 20, 20, 3), *[(5, 10, 10, 3)] * 3]
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.format == "PNG"


def test_fewer_photos_than_asked_for_are_all_there_are(
    data_folder: Path, tmp_path: Path, drawn: list[Any]
) -> None:
    folder = read_data_folder(data_folder)
    lines = [f"{folder.train.paths[index]} {index // 8}\n" for index in (0, 8, 16)]
    (tmp_path / "train.txt").write_text("".join(lines), encoding="utf-8")
    show_augmentation(tmp_path, tmp_path / "a.png", config=FLIPS)
    assert len(drawn[0][0][0]) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--output", "a.jpg"], "a.jpg: pictures are PNG files"),
        (["--photos", 0], "photos: found 0; from 1 to 24"),
        (["--photos", 25], "photos: found 25; from 1 to 24"),
        (["--seed", -1], "seed: found -1; it must be 0 or more"),
        (["--config", "gone.yaml"], "gone.yaml: no such configuration file"),
    ],
)
def test_bad_words_are_one_sentence(
    words: list[object],
    sentence: str,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_main(main, data_folder, "--output", "a.png", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_output_is_needed_and_help_names_the_script(data_folder: Path, run_main: RunMain) -> None:
    assert "arguments are required: --output" in run_main(main, data_folder).err
    assert "usage: python data_tools/show_augmentation.py" in run_main(main, "--help").out


def test_a_broken_photo_is_named_with_its_line(
    data_folder: Path, photo_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    (tmp_path / "b.jpg").touch()
    good = photo_folder / "Green" / "Green 00.jpg"
    (tmp_path / "train.txt").write_text(f"{good} 0\n\nb.jpg 1\n", encoding="utf-8")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert "train.txt, line 3: " in run_main(main, tmp_path, "--output", tmp_path / "a.png").err
    assert not (tmp_path / "a.png").exists()
