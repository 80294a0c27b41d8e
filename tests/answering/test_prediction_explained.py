"""`predict --explain`: one picture a photo, named after it, and never in the place of a photo."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from conftest import RunMain
from paddle import nn
from PIL import Image

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.answering.explanations import grad_cam, overlay
from paddle_wrn.answering.prediction import Prediction, predict
from paddle_wrn.drawing import plots, sheets
from paddle_wrn.models import create_model
from paddle_wrn.models.weights import weights_of
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.predict import main
from paddle_wrn.runs.checkpoint import save_checkpoint

CLASSES, DISPLAY_NAMES = ("Blue Disc", "Green", "红 三角"), ("蓝圆", "Green", "红")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Return the file of an untrained network."""
    paddle.seed(0)
    model = create_model("wrn_10_1", 3, strides=[2, 1, 2, 2])
    contract = Preprocessing(
        size=24, mean=(0.5,) * 3, std=(0.25,) * 3, classes=CLASSES, display_names=DISPLAY_NAMES
    )
    record = {
        "kind": "model",
        "model": {"name": "wrn_10_1", "options": {"strides": [2, 1, 2, 2]}},
        "preprocessing": contract.model_dump(),
    }
    save_checkpoint(tmp_path / "best.safetensors", weights_of(model), record)
    return tmp_path / "best.safetensors"


@pytest.fixture
def photo(photo_folder: Path) -> Path:
    return photo_folder / "Green" / "Green 03.jpg"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any, str]]:
    """Return what is drawn: photo, overlay and title of each; the picture itself is empty."""
    given: list[tuple[Any, Any, str]] = []

    def explanation(*arguments: Any) -> Any:
        given.append(arguments)
        figure = sheets.new_figure(1, 1)
        figure.set_layout_engine("none")
        return figure

    monkeypatch.setattr(sheets, "explanation", explanation)
    return given


def test_each_photo_gets_a_picture_of_itself_and_its_map(
    network: Path, photo: Path, tmp_path: Path, run_main: RunMain
) -> None:
    text = run_main(main, network, photo).out

    said = run_main(main, network, photo, "--explain", tmp_path / "new" / "maps")

    assert (said.code, said.out) == (0, text)
    assert [path.name for path in (tmp_path / "new" / "maps").iterdir()] == ["Green 03.png"]
    with Image.open(tmp_path / "new" / "maps" / "Green 03.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500


def test_the_picture_shows_both_beside_each_other() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    laid = overlay(photo, np.ones((8, 8), np.float32))

    figure = sheets.explanation(photo, laid, "Green " * 20)

    left, right, bar = figure.axes
    np.testing.assert_array_equal(left.images[0].get_array(), photo)
    np.testing.assert_array_equal(right.images[0].get_array(), laid)
    assert [label.get_text() for label in bar.get_xticklabels()] == ["no evidence", "most"]
    assert figure.get_suptitle().startswith("Green Green")
    assert figure.get_suptitle().endswith("…")


def test_it_shows_the_photo_without_padding_and_what_the_network_says(
    network: Path, photo: Path, tmp_path: Path, drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Image.open(photo) as original:
        original.crop((0, 0, 24, 10)).resize((1600, 667)).save(tmp_path / "wide.jpg")
    classifier = replace(load_classifier(network), calibration=Calibration(threshold=1.0))
    monkeypatch.setattr("paddle_wrn.answering.prediction.load_classifier", lambda run: classifier)

    results = list(predict(network, [photo, tmp_path / "wide.jpg"], explain=tmp_path))

    (shown, laid, title), (wide, wide_laid, _) = drawn
    with Image.open(photo) as original:
        np.testing.assert_array_equal(shown, np.asarray(original))
    (first, second) = results
    assert isinstance(first, Prediction)
    names = plots.labels_for(CLASSES, DISPLAY_NAMES)
    assert title == f"not sure, perhaps {names[first.label]} {first.probability:.1%}"
    (heat,) = grad_cam(classifier, classifier.preprocessing.load(photo)[None], [first.label])
    np.testing.assert_array_equal(laid, overlay(np.asarray(shown), heat))
    assert wide.shape == wide_laid.shape == (267, 640, 3)
    assert isinstance(second, Prediction)
    assert (first.overlay, second.overlay) == (str(tmp_path / "Green 03.png"), str(tmp_path / "wide.png"))


def test_photos_of_one_name_get_pictures_of_their_own(
    network: Path, photo: Path, tmp_path: Path, drawn: list[Any], run_main: RunMain
) -> None:
    names = ["a/bird.jpg", "b/bird.jpg", "b/bird-2.jpg", "c/BIRD.png", "c/bird.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(photo, tmp_path / name)

    said = run_main(
        main, network, *(tmp_path / name for name in names), "--explain", tmp_path / "d", "--json"
    )

    assert said.code == 0
    overlays = [Path(json.loads(line)["overlay"]) for line in said.out.splitlines()]
    assert [path.name for path in overlays] == [
        *("bird.png", "bird-2.png", "bird-2-2.png", "BIRD-3.png", "bird-4.png")
    ]
    assert sorted((tmp_path / "d").iterdir()) == sorted(overlays)
    again = run_main(
        main, network, *(tmp_path / name for name in names), "--explain", tmp_path / "d", "--json"
    )
    assert again.out == said.out
    assert len(drawn) == 10


def test_no_photo_is_written_over(
    network: Path, photo: Path, tmp_path: Path, drawn: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "birds").mkdir()
    monkeypatch.chdir(tmp_path / "birds")
    for name in ("a.jpg", "a.png"):
        Image.open(photo).save(name)
    before = Path("a.png").read_bytes()

    results = list(predict(network, [Path(), Path("gone.jpg")], explain=tmp_path / "birds" / ".." / "birds"))

    assert [
        Path(result.overlay).name for result in results if isinstance(result, Prediction) and result.overlay
    ] == [*("a-2.png", "a-3.png")]
    assert Path("a.png").read_bytes() == before
    assert len(drawn) == 2


@pytest.mark.parametrize("name", ["n" * 251, "鸟" * 83])
def test_a_photos_name_may_be_as_long_as_a_name_can_be(
    name: str, network: Path, photo: Path, tmp_path: Path, drawn: list[Any], run_main: RunMain
) -> None:
    shutil.copy(photo, tmp_path / f"{name}.jpg")

    said = run_main(main, network, tmp_path / f"{name}.jpg", "--explain", tmp_path / "maps")

    assert said.code == 0
    assert [path.name for path in (tmp_path / "maps").iterdir()] == [f"{name[:50]}.png"]
    assert len(drawn) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows names are Unicode")
def test_a_name_that_is_no_text_is_kept(
    network: Path, photo: Path, tmp_path: Path, drawn: list[Any], run_main: RunMain
) -> None:
    shutil.copy(photo, os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))

    said = run_main(main, network, tmp_path, "--explain", tmp_path / "maps")

    assert said.code == 0
    assert os.listdir(os.fsencode(tmp_path / "maps")) == [b"\xff.png"]
    assert len(drawn) == 1


def test_broken_photos_are_passed_over(
    network: Path, photo: Path, tmp_path: Path, drawn: list[Any], run_main: RunMain
) -> None:
    (tmp_path / "a.jpg").touch()

    said = run_main(main, network, tmp_path / "a.jpg", photo, "--explain", tmp_path / "maps")

    assert said.code == 2
    assert said.err.startswith(f"error: {tmp_path / 'a.jpg'}: ")
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["Green 03.png"]
    assert len(drawn) == 1


def test_a_sheet_may_be_drawn_as_well(
    network: Path, photo: Path, tmp_path: Path, drawn: list[Any], run_main: RunMain
) -> None:
    pictures = ["--explain", tmp_path / "maps", "--picture", tmp_path / "sheet.png"]

    said = run_main(main, network, photo, *pictures, "--top-k", 1, "--json")

    assert said.code == 0
    assert (tmp_path / "sheet.png").is_file()
    assert json.loads(said.out)["overlay"] == str(tmp_path / "maps" / "Green 03.png")
    assert len(json.loads(said.out)["top"]) == len(drawn) == 1


def test_without_it_json_names_no_overlay(network: Path, photo: Path, run_main: RunMain) -> None:
    assert "overlay" not in json.loads(run_main(main, network, photo, "--json").out)


@pytest.mark.parametrize("name", ["file", "file/maps", "file/a/b"])
def test_a_place_that_is_no_folder_is_refused_before_any_work(
    name: str, network: Path, photo: Path, tmp_path: Path, run_main: RunMain
) -> None:
    (tmp_path / "file").touch()

    said = run_main(main, network, photo, "--explain", tmp_path / name)

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {tmp_path / 'file'}")
    assert "file where a folder is needed" in said.err


def test_a_folder_without_permission_is_refused_before_any_work(
    network: Path, photo: Path, tmp_path: Path, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere

    said = run_main(main, network, photo, "--explain", tmp_path / "maps")

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {tmp_path / 'maps'}: no permission to write")


def test_a_network_without_a_map_gets_one_sentence(
    network: Path, photo: Path, tmp_path: Path, run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mean(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: paddle.Tensor) -> paddle.Tensor:
            return self.fc(x.mean([2, 3]))

    classifier = replace(load_classifier(network), model=Mean())
    monkeypatch.setattr("paddle_wrn.answering.prediction.load_classifier", lambda run: classifier)

    said = run_main(main, network, photo, photo, "--explain", tmp_path / "maps")

    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: Mean: no layer gives a feature map")
