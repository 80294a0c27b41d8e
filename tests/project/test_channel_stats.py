"""Tests of the channel statistics: against NumPy, and on the batches a training really gets."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import RunMain
from PIL import Image
from rounding import assert_equal_to_rounding, rounding

from data_tools.channel_stats import channel_stats, main
from paddle_wrn.config import Config, load_config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.training import batches as batching

TINY = {"model.name": "wrn_10_1", "input.size": 16, "batch_size": 8}
PLAIN = TINY | {"augment.crop_size": None, "augment.flip_horizontal": 0, "augment.colour": 0}


@pytest.fixture
def two_colours(tmp_path: Path) -> Path:
    """Return lists of photos whose statistics are known: half of the pixels one colour, half another."""
    for name in ("a", "b"):
        pixels = np.zeros((4, 4, 3), np.uint8)
        pixels[:2], pixels[2:] = (255, 51, 10), (0, 153, 10)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "train.txt").write_text("a.png 0\nb.png 1\n")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    return tmp_path


def test_what_is_printed_can_be_pasted_into_a_configuration(two_colours: Path, run_main: RunMain) -> None:
    outcome = run_main(main, two_colours, "--size", 4)
    assert outcome.code == 0
    assert outcome.out == (
        "2 photos, 4 x 4 pixels: red, green, blue\n"
        "mean 127.5, 102.0, 10.0 of 255\n"
        "std  127.5, 51.0, 255.0 of 255\n"  # blue has no contrast, and 0 cannot be divided by
        "\n"
        "input:\n"
        "  size: 4\n"
        "  mean: [0.5000, 0.4000, 0.0392]\n"
        "  std: [0.5000, 0.2000, 1.0000]\n"
    )
    (two_colours / "config.yaml").write_text("input:" + outcome.out.partition("input:")[2])
    assert load_config(two_colours / "config.yaml").input.mean == (0.5, 0.4, 0.0392)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_photos_of_the_list_are_measured(split: str, data_folder: Path) -> None:
    stats = channel_stats(data_folder, split=split, size=24)  # type: ignore[arg-type]
    images = load_photos(read_data_folder(data_folder).split(split), 24).images / 255
    assert (stats.photos, stats.size, stats.batches) == (len(images), 24, ())
    np.testing.assert_allclose(stats.mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(stats.std, images.std((0, 1, 2)))


def test_the_size_is_the_configurations_unless_it_is_given(data_folder: Path) -> None:
    config = load_config(None, TINY)
    assert channel_stats(data_folder, config=config).size == 16
    assert channel_stats(data_folder, config=config, size=20).size == 20
    assert channel_stats(data_folder).size == Config().input.size


@pytest.mark.numeric
def test_unchanged_photos_become_mean_0_and_standard_deviation_1(data_folder: Path) -> None:
    config = load_config(None, PLAIN | {"batch_size": 24})
    ((mean, std),) = channel_stats(data_folder, config=config, batches=1).batches
    off = rounding(4, 1 / min(channel_stats(data_folder, config=config).std))
    assert mean == pytest.approx([0] * 3, abs=off)
    assert std == pytest.approx([1] * 3, abs=off)


@pytest.mark.numeric
def test_a_wrong_mean_in_the_configuration_is_seen(data_folder: Path) -> None:
    wrong = {"batch_size": 24, "input.mean": [0, 0, 0], "input.std": [0.5, 0.5, 0.5]}
    stats = channel_stats(data_folder, config=load_config(None, PLAIN | wrong), batches=1)
    ((mean, std),) = stats.batches
    assert_equal_to_rounding(mean, np.array(stats.mean) / 0.5, terms=4, scale=2)
    assert_equal_to_rounding(std, np.array(stats.std) / 0.5, terms=4, scale=2)


@pytest.mark.numeric
def test_the_batches_are_those_of_a_training(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    normalise = Preprocessing.normalise

    def spy(self: Preprocessing, images: np.ndarray) -> np.ndarray:
        seen.append(normalise(self, images))
        return seen[-1]

    monkeypatch.setattr(Preprocessing, "normalise", spy)
    monkeypatch.setattr(batching, "prepared_ahead", lambda jobs: (job() for job in jobs))
    stats = channel_stats(data_folder, config=load_config(None, TINY), batches=2)
    assert [images.shape for images in seen] == [(8, 3, 96, 96)] * 2
    for images, (mean, std) in zip(seen, stats.batches, strict=True):
        np.testing.assert_allclose(mean, images.mean((0, 2, 3), "float64"))
        np.testing.assert_allclose(std, images.std((0, 2, 3), "float64"))


def test_no_more_batches_than_an_epoch_has(data_folder: Path, run_main: RunMain, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        yaml.safe_dump({"model": {"name": "wrn_10_1"}, "input": {"size": 16}, "batch_size": 8})
    )
    outcome = run_main(main, data_folder, "--config", tmp_path / "tiny.yaml", "--batches", 100)
    lines = outcome.out.partition("after augmentation and normalisation\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]  # 24 photos
    assert all(" mean " in line and " std " in line for line in lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--split", "all"], "argument --split: invalid choice: 'all'"),
        (["--size", 0], "input.size: found 0; input should be greater than 0"),
        (["--size", "big"], "argument --size: invalid int value: 'big'"),
        (["--batches", -1], "batches: found -1; it must be 0 or more"),
        (["--batches", 1, "--split", "val"], "split: found val, but only training photos"),
        (["--config", "gone.yaml"], "gone.yaml: no such configuration file"),
    ],
)
def test_bad_words_are_one_sentence(
    words: list[object], sentence: str, data_folder: Path, run_main: RunMain
) -> None:
    outcome = run_main(main, data_folder, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err


def test_missing_lists_and_photos_are_one_sentence(two_colours: Path, run_main: RunMain) -> None:
    assert "no such folder" in run_main(main, two_colours / "gone").err
    assert "val.txt: no such list" in run_main(main, two_colours, "--split", "val").err
    (two_colours / "b.png").unlink()
    assert "train.txt, line 2: " in run_main(main, two_colours, "--size", 4).err


def test_batches_of_other_lists_are_refused_before_any_photo_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose train"):
        channel_stats(tmp_path / "gone", split="val", batches=1)


def test_the_script_runs_from_anywhere_without_paddle(two_colours: Path) -> None:
    script = Path(__file__).parents[2] / "data_tools" / "channel_stats.py"
    code = (
        f"import runpy, sys; sys.argv[1:] = ['.', '--size', '4']; sys.path[0] = {str(script.parent)!r}\n"
        f"try: runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "finally: assert 'paddle' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=two_colours, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mean: [0.5000, 0.4000, 0.0392]" in done.stdout


def test_help_names_the_script(run_main: RunMain) -> None:
    outcome = run_main(main, "--help")
    assert outcome.code == 0
    assert "usage: python data_tools/channel_stats.py" in outcome.out
