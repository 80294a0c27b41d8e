"""Prediction: from the run folder or one file alone, photo by photo, in text and in JSON."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RunMain
from PIL import Image
from rounding import logit_rounding

from paddle_wrn.answering import classifier as inference
from paddle_wrn.answering.answer import Answer
from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import load_classifier, store_calibration
from paddle_wrn.answering.prediction import Prediction, _drawn, find_photos, predict
from paddle_wrn.drawing import plots
from paddle_wrn.drawing import sheets as sheets_module
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.predict import main
from paddle_wrn.runs.checkpoint import load_checkpoint, save_checkpoint

CLASSES = ("Blue Disc", "Green", "红 三角")
SHOWN = ("Blue Disc (蓝圆)", "Green", "红 三角 (Red Triangle)")


@pytest.fixture(scope="module")
def run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run, elsewhere than where it was trained; tests only read it."""
    copy = shutil.copytree(trained, tmp_path_factory.mktemp("predict") / "elsewhere")
    store_calibration(copy, Calibration(temperature=0.7, photos=6))  # every answer is sure
    return copy


@pytest.fixture
def photo(photo_folder: Path) -> Path:
    return photo_folder / "红 三角" / "红 三角 03.jpg"


def probabilities(run: Path, photo: Path) -> list[float]:
    """Return what the network says of one photo, class by class."""
    classifier = load_classifier(run)
    return classifier.probabilities(classifier.preprocessing.load(photo)[None])[0].tolist()


def off(run: Path, photo: Path) -> float:
    """Return how far apart rounding may put two probabilities of a photo."""
    classifier = load_classifier(run)
    return logit_rounding(classifier, classifier.preprocessing.load(photo)[None]) / 2


def test_text_names_path_species_and_probability(run: Path, photo: Path, run_main: RunMain) -> None:
    expected = probabilities(run, photo)
    first, second, third = sorted(range(3), key=lambda label: -expected[label])
    outcome = run_main(main, run, photo)
    assert outcome.code == 0
    assert outcome.out == (
        f"{photo}: {SHOWN[first]} {expected[first]:.1%}"
        f"  ({SHOWN[second]} {expected[second]:.1%}, {SHOWN[third]} {expected[third]:.1%})\n"
    )


def test_text_of_one_class_has_no_others(run: Path, photo: Path, run_main: RunMain) -> None:
    expected = probabilities(run, photo)
    best = int(np.argmax(expected))
    assert run_main(main, run, photo, "--top-k", 1).out == f"{photo}: {SHOWN[best]} {expected[best]:.1%}\n"


@pytest.mark.numeric
def test_json_is_one_object_a_line(run: Path, photo_folder: Path, run_main: RunMain) -> None:
    photos = sorted((photo_folder / "Green").iterdir())[:3]
    outcome = run_main(main, run, *photos, "--json", "--top-k", 2)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert len(lines) == 3
    for line, photo in zip(lines, photos, strict=True):
        expected = probabilities(run, photo)
        first, second, _ = sorted(range(3), key=lambda label: -expected[label])
        assert json.loads(line) == {
            "path": str(photo),
            "label": first,
            "class": CLASSES[first],
            "probability": pytest.approx(expected[first], abs=off(run, photo)),
            "sure": True,
            "top": [
                {"class": CLASSES[label], "probability": pytest.approx(expected[label], abs=off(run, photo))}
                for label in (first, second)
            ],
        }


def test_json_keeps_chinese_letters_as_they_are(run: Path, photo: Path, run_main: RunMain) -> None:
    assert "红 三角" in run_main(main, run, photo, "--json").out


@pytest.mark.parametrize(("top_k", "named"), [(1, 1), (2, 2), (3, 3), (50, 3)])
def test_top_k_is_bounded_by_the_classes(top_k: int, named: int, run: Path, photo: Path) -> None:
    (prediction,) = predict(run, photo, top_k=top_k)
    assert isinstance(prediction, Prediction)
    given = [probability for _, _, probability in prediction.top]
    assert len(given) == named
    assert given == sorted(given, reverse=True)
    assert prediction.probability == given[0]
    if named == 3:
        assert sum(given) == pytest.approx(1)


def test_all_names_every_class_one_a_line(run: Path, photo: Path, run_main: RunMain) -> None:
    expected = probabilities(run, photo)
    order = sorted(range(3), key=lambda label: -expected[label])
    lines = [f"{photo}:", *(f"  {expected[label]:6.1%}  {SHOWN[label]}" for label in order)]
    assert run_main(main, run, photo, "--all").out.splitlines() == lines


def test_all_in_json_and_from_python(run: Path, photo: Path, run_main: RunMain) -> None:
    (line,) = run_main(main, run, photo, "--all", "--json").out.splitlines()
    (prediction,) = predict(run, photo, top_k=None)
    assert isinstance(prediction, Prediction)
    assert {entry["class"] for entry in json.loads(line)["top"]} == set(CLASSES)
    assert json.loads(line) == prediction.to_json()


def test_all_and_top_k_exclude_each_other(run: Path, photo: Path, run_main: RunMain) -> None:
    assert "not allowed with" in run_main(main, run, photo, "--all", "--top-k", 2).err


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is drawn: photos, bars and note of each sheet."""
    drawn: list[Any] = []
    real = sheets_module.prediction_sheet

    def prediction_sheet(images: Any, bars: Any, note: str, sure: Any) -> Any:
        drawn.append((images, bars, note))
        assert len(sure) == len(images)
        return real(images[:2], bars[:2], note, sure[:2])  # all would take seconds

    monkeypatch.setattr(sheets_module, "prediction_sheet", prediction_sheet)
    return drawn


def test_a_picture_shows_the_photo_itself_and_its_classes(
    run: Path, photo: Path, tmp_path: Path, sheets: list[Any], run_main: RunMain
) -> None:
    expected = probabilities(run, photo)
    text = run_main(main, run, photo, "--top-k", 1).out
    outcome = run_main(main, run, photo, "--top-k", 1, "--picture", tmp_path / "new" / "a.PNG")
    assert (outcome.code, outcome.out) == (0, text)
    (((image,), (bars,), note),) = sheets
    with Image.open(photo) as original:
        assert (image == np.asarray(original)).all()
    names = plots.labels_for(CLASSES, ("蓝圆", "Green", "Red Triangle"))
    assert dict(bars) == pytest.approx(dict(zip(names, expected, strict=True)), abs=off(run, photo))
    assert note == ""
    with Image.open(tmp_path / "new" / "a.PNG") as picture:
        assert picture.format == "PNG"
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_picture_holds_the_first_24_photos_upright_and_small(
    run: Path, photo_folder: Path, tmp_path: Path, sheets: list[Any]
) -> None:
    photo = Image.new("RGB", (1300, 650), "green")
    exif = photo.getexif()
    exif[0x0112] = 6  # lies on its side
    photo.save(tmp_path / "large.jpg", exif=exif)
    (tmp_path / "broken.jpg").touch()
    photos = [tmp_path / "broken.jpg", tmp_path / "large.jpg", photo_folder]
    assert len(list(predict(run, photos, picture=tmp_path / "a.png"))) == 38
    ((images, bars, note),) = sheets
    assert len(images) == len(bars) == 24
    assert images[0].shape == (640, 320, 3)
    assert note == "the first 24 of 37 photos"


@pytest.mark.parametrize(("top_k", "bars"), [(1, 5), (3, 5), (7, 7), (11, 10), (None, 10)])
def test_a_picture_has_five_to_ten_bars(
    top_k: int | None, bars: int, run: Path, photo: Path, tmp_path: Path, sheets: list[Any]
) -> None:
    names = tuple(f"class {label}" for label in range(12))
    contract = load_classifier(run).preprocessing.model_copy(
        update={"classes": names, "display_names": names}
    )
    result = Prediction(str(photo), Answer(tuple(range(12)), (1 / 12,) * 12, "sure"), ((*names[:2], 1 / 12),))
    assert list(_drawn(iter([result]), contract, top_k, tmp_path / "a.png")) == [result]
    assert [name for name, _ in sheets[0][1][0]] == list(names[:bars])


def test_no_picture_of_nothing(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    (tmp_path / "a.jpg").touch()
    assert run_main(main, run, tmp_path, "--picture", tmp_path / "a.png").code == 2
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", ["a.jpg", "a", "photos.png", "file/a.png"])
def test_a_place_where_no_picture_can_be_is_refused_before_any_work(
    name: str, run: Path, photo: Path, tmp_path: Path, run_main: RunMain
) -> None:
    (tmp_path / "photos.png").mkdir()
    (tmp_path / "file").touch()
    outcome = run_main(main, run, photo, "--picture", tmp_path / name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {tmp_path / name.removesuffix('/a.png')}: ")


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_below_one_is_refused(top_k: int, run: Path, photo: Path, run_main: RunMain) -> None:
    outcome = run_main(main, run, photo, f"--top-k={top_k}")
    assert outcome.code == 2
    assert f"top-k: found {top_k}" in outcome.err


def test_folders_are_walked_in_order_without_what_is_hidden(tmp_path: Path, photo: Path) -> None:
    wanted = ["b.JPG", "c.png", "a/z.jpeg", "a/b/鸟 1.webp"]
    others = [".hidden.jpg", ".ipynb_checkpoints/b.jpg", "a/notes.txt", "._b.jpg", "c"]
    for name in wanted + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    (tmp_path / "folder.jpg").mkdir()
    assert list(find_photos([tmp_path])) == sorted(tmp_path / name for name in wanted)
    assert list(find_photos([tmp_path / "c", tmp_path / "a"])) == [
        *(tmp_path / "c", tmp_path / "a/b/鸟 1.webp", tmp_path / "a/z.jpeg")
    ]


def test_a_hidden_folder_that_was_named_is_walked(tmp_path: Path, photo: Path) -> None:
    (tmp_path / ".cache").mkdir()
    shutil.copy(photo, tmp_path / ".cache" / "a.jpg")
    assert list(find_photos([tmp_path / ".cache"])) == [tmp_path / ".cache" / "a.jpg"]


def test_a_folder_without_photos_is_refused(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    outcome = run_main(main, run, tmp_path)
    assert outcome.code == 2
    assert f"{tmp_path}: no photos in this folder" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("batch_size", [64, 2])
def test_bad_photos_are_reported_and_the_rest_go_on(
    batch_size: int,
    run: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    monkeypatch.setattr(inference, "BATCH_SIZE", batch_size)
    monkeypatch.setattr("paddle_wrn.answering.prediction.BATCH_SIZE", batch_size)
    (tmp_path / "b cut.jpg").write_bytes(photo.read_bytes()[:300])
    (tmp_path / "c empty.jpg").touch()
    (tmp_path / "d text.jpg").write_text("not a photo")
    for name in ("a.jpg", "e.jpg"):
        shutil.copy(photo, tmp_path / name)
    outcome = run_main(main, run, tmp_path, tmp_path / "gone.jpg", "--json", errors=4)
    assert outcome.code == 2
    named = [Path(json.loads(line)["path"]).name for line in outcome.out.splitlines()]
    assert named == ["a.jpg", "e.jpg"]
    for line, name in zip(
        outcome.err.splitlines(), ("b cut.jpg", "c empty.jpg", "d text.jpg", "gone.jpg"), strict=True
    ):
        assert line.startswith(f"error: {tmp_path / name}: ")


def test_bad_photos_only(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    (tmp_path / "a.jpg").touch()
    outcome = run_main(main, run, tmp_path)
    assert (outcome.code, outcome.out) == (2, "")


def test_the_function_gives_predictions_and_errors_in_order(
    run: Path, photo: Path, photo_folder: Path, tmp_path: Path
) -> None:
    results = list(predict(run, [tmp_path / "gone.jpg", photo]))
    assert [type(result) for result in results] == [ImageError, Prediction]
    assert len(list(predict(str(run), str(photo_folder)))) == 36


@pytest.mark.numeric
def test_many_photos_in_batches_get_what_each_gets_alone(run: Path, photo_folder: Path) -> None:
    together = list(predict(run, photo_folder / "Green"))
    for result in together:
        assert isinstance(result, Prediction)
        expected = probabilities(run, Path(result.path))
        assert result.label == np.argmax(expected)
        assert result.probability == pytest.approx(max(expected), abs=off(run, Path(result.path)))


def test_the_handed_over_file_is_enough(run: Path, photo: Path, tmp_path: Path) -> None:
    best = shutil.copy(run / "checkpoints" / "best.safetensors", tmp_path / "birds")
    assert list(predict(best, photo)) == list(predict(run, photo))


def test_the_contract_of_the_run_is_used_not_the_defaults(run: Path, photo: Path, tmp_path: Path) -> None:
    weights, record = load_checkpoint(run / "checkpoints" / "best.safetensors", "model")
    record["preprocessing"]["mean"] = [0.9, 0.1, 0.9]
    save_checkpoint(tmp_path / "other.safetensors", weights, record)
    (ours,), (theirs,) = predict(run, photo), predict(tmp_path / "other.safetensors", photo)
    assert isinstance(ours, Prediction)
    assert isinstance(theirs, Prediction)
    assert ours.probability != theirs.probability


def cut(file: Path, run: Path) -> None:
    file.write_bytes((run / "checkpoints" / "best.safetensors").read_bytes()[:-1])


def training_state(file: Path, run: Path) -> None:
    shutil.copy(run / "checkpoints" / "last.safetensors", file)


def other_network(file: Path, run: Path) -> None:
    weights, record = load_checkpoint(run / "checkpoints" / "best.safetensors", "model")
    save_checkpoint(file, weights, record | {"model": {"name": "wrn_16_1", "options": {}}})


def no_preprocessing(file: Path, run: Path) -> None:
    weights, record = load_checkpoint(run / "checkpoints" / "best.safetensors", "model")
    del record["preprocessing"]
    save_checkpoint(file, weights, record)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (cut, "damaged or cut short"),
        (lambda file, run: file.touch(), "damaged or cut short"),
        (lambda file, run: shutil.copy(run / "model.pdparams", file), "damaged or no safetensors file"),
        (training_state, "a 'model' checkpoint is needed"),
        (other_network, "weights of another network"),
        (no_preprocessing, "its record is incomplete"),
    ],
    ids=["cut", "empty", "foreign", "training state", "other network", "no preprocessing"],
)
def test_a_checkpoint_that_will_not_do_is_a_sentence(
    make: Any, complaint: str, run: Path, photo: Path, tmp_path: Path, run_main: RunMain
) -> None:
    file = tmp_path / "x.safetensors"
    make(file, run)
    outcome = run_main(main, file, photo)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {file}: ")
    assert complaint in outcome.err


def test_a_missing_run_is_a_sentence(tmp_path: Path, photo: Path, run_main: RunMain) -> None:
    outcome = run_main(main, tmp_path / "gone", photo)
    assert outcome.code == 2
    assert f"{tmp_path / 'gone'}: no such run folder" in outcome.err
    with pytest.raises(UserError, match="holds no trained network"):
        predict(tmp_path, photo)


@pytest.mark.skipif(os.name == "nt", reason="Windows names are Unicode")
def test_a_file_name_that_is_no_text_is_printed_so_that_it_can_be_read_back(
    run: Path, photo: Path, tmp_path: Path, run_main: RunMain
) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.jpg"
    shutil.copy(photo, os.fsdecode(name))
    outcome = run_main(main, run, tmp_path, "--json")
    assert outcome.code == 0
    assert os.fsencode(json.loads(outcome.out)["path"]) == name
