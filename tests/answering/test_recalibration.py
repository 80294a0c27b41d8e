"""Calibration of runs: by training at its end, by the command afterwards, and of files that have none."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, RunMain
from PIL import Image
from rounding import additions, logit_rounding, rounding

from paddle_wrn.answering.calibration import Calibration, fit
from paddle_wrn.answering.classifier import load_classifier, store_calibration
from paddle_wrn.answering.evaluation import evaluate
from paddle_wrn.answering.recalibration import calibrate
from paddle_wrn.calibrate import main
from paddle_wrn.drawing import plots
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.predict import main as predict_main
from paddle_wrn.runs.checkpoint import load_checkpoint, save_checkpoint
from paddle_wrn.training.session import train

BEST = "checkpoints/best.safetensors"


@pytest.fixture(autouse=True)
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing of all but reliability diagrams."""
    save = plots.save
    monkeypatch.setattr(plots, "save", lambda figure, path: "reliability" in path.name and save(figure, path))


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run, elsewhere."""
    return shutil.copytree(trained, tmp_path / "run")


def make_old(run: Path) -> None:
    """Leave the file of the kept weights as versions before calibration wrote it."""
    arrays, record = load_checkpoint(run / BEST, "model")
    del record["calibration"]
    save_checkpoint(run / BEST, arrays, record)


def fitted(run: Path, data_folder: Path, split: str, wished_error: float = 0.05) -> Calibration:
    """Return the calibration of a split, by hand."""
    classifier = load_classifier(run)
    photos = load_photos(read_data_folder(data_folder).split(split), 16, draft=True)
    return fit(classifier.logits(photos.images), photos.labels, wished_error)


# By training


def test_training_calibrates_the_kept_weights_on_the_validation_photos(
    trained: Path, data_folder: Path
) -> None:
    stored = load_classifier(trained).calibration
    assert stored == fitted(trained, data_folder, "val")
    assert stored.temperature != fitted(trained, data_folder, "test").temperature
    assert (stored.photos, stored.wished_error) == (6, 0.05)
    results = json.loads((trained / "metrics.json").read_text("utf-8"))
    for split in ("val", "test"):
        judged = results[split]["calibration"]
        assert judged | stored.model_dump() == judged
    log = (trained / "train.log").read_text("utf-8")
    assert log.count(f"trust     {stored}") == 1
    with Image.open(trained / "reliability.png") as picture:
        assert picture.format == "PNG"


def test_without_validation_photos_nothing_is_fitted_and_that_is_said_once(
    data_folder: Path, tmp_path: Path
) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    for name in ("train.txt", "test.txt"):
        text = (
            (data_folder / name).read_text("utf-8").replace("../photos", str(data_folder.parent / "photos"))
        )
        (lists / name).write_text(text, "utf-8")
    shutil.copy(data_folder / "classes.txt", lists)
    results = train(data=lists, output=tmp_path / "run", settings=TINY)
    assert load_classifier(tmp_path / "run").calibration == Calibration()
    assert results.test is not None
    assert results.test.calibration is not None
    assert results.test.calibration.sure == 6
    log = (tmp_path / "run" / "train.log").read_text("utf-8")
    assert log.count("calibrat") == 1
    assert not (tmp_path / "run" / "reliability.png").exists()


def test_a_run_that_ends_a_second_time_keeps_what_was_wished(run: Path, data_folder: Path) -> None:
    calibrate(run, wished_error=0.3)
    (run / "metrics.json").unlink()
    train(output=run, resume=True)
    assert load_classifier(run).calibration == fitted(run, data_folder, "val", 0.3)


def test_a_finished_run_is_left_as_it_was_calibrated(run: Path) -> None:
    calibration = calibrate(run, wished_error=0.3)
    before = (run / BEST).read_bytes()
    train(output=run, resume=True)
    assert (run / BEST).read_bytes() == before
    assert load_classifier(run).calibration == calibration


# By the command


def test_an_older_run_is_used_uncalibrated_until_it_is_calibrated(
    run: Path, trained: Path, run_main: RunMain
) -> None:
    make_old(run)
    assert load_classifier(run).calibration == Calibration()
    trust = evaluate(run).calibration
    assert trust is not None
    assert trust.photos == 0
    assert load_classifier(run).calibration == Calibration()  # scoring fits nothing
    (run / "reliability.png").unlink()
    outcome = run_main(main, run)
    assert outcome.code == 0
    assert outcome.out == f"{load_classifier(trained).calibration}\n"
    assert (run / BEST).read_bytes() == (trained / BEST).read_bytes()
    assert (run / "reliability.png").is_file()


def test_another_wish_changes_the_threshold_alone(run: Path, trained: Path) -> None:
    before = load_classifier(trained).calibration
    after = calibrate(run, wished_error=0.9)
    assert load_classifier(run).calibration == after
    assert after.temperature == before.temperature
    assert after.threshold < before.threshold
    for name, array in load_checkpoint(trained / BEST, "model")[0].items():
        np.testing.assert_array_equal(load_checkpoint(run / BEST, "model")[0][name], array)


def test_a_handed_over_file_can_be_calibrated_on_lists(
    trained: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    file = Path(shutil.copy(trained / BEST, tmp_path / "birds.safetensors"))
    assert "give --data" in run_main(main, file).err
    assert calibrate(file, data=data_folder) == load_classifier(trained).calibration
    assert [path.name for path in tmp_path.iterdir()] == ["birds.safetensors"]


@pytest.mark.parametrize("wish", ["0", "1", "5", "-0.1", "nan"])
def test_an_impossible_wish_is_refused(wish: str, run: Path, run_main: RunMain) -> None:
    before = (run / BEST).read_bytes()
    outcome = run_main(main, run, f"--wished-error={wish}")
    assert outcome.code == 2
    assert f"wished error: found {wish}; it must lie between 0 and 1" in outcome.err
    assert (run / BEST).read_bytes() == before


def test_an_unfinished_run_is_refused(run: Path, run_main: RunMain) -> None:
    (run / "metrics.json").unlink()
    outcome = run_main(main, run)
    assert outcome.code == 2
    assert f"{run}: its training is not finished" in outcome.err
    assert f"--resume --output {run}" in outcome.err


def test_a_run_without_validation_photos_is_refused(
    run: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    lists = shutil.copytree(data_folder, tmp_path / "lists")
    (lists / "val.txt").unlink()
    outcome = run_main(main, run, "--data", lists)
    assert outcome.code == 2
    assert f"{lists / 'val.txt'}: no such list" in outcome.err


# Where it shows


def test_a_record_with_an_impossible_calibration_is_a_sentence(
    run: Path, photo_folder: Path, run_main: RunMain
) -> None:
    arrays, record = load_checkpoint(run / BEST, "model")
    save_checkpoint(run / BEST, arrays, record | {"calibration": {"temperature": -1}})
    outcome = run_main(predict_main, run, photo_folder)
    assert outcome.code == 2
    assert f"{run / BEST}: its record is incomplete" in outcome.err


@pytest.mark.parametrize("sure", [True, False])
def test_predict_says_what_it_is_not_sure_of(
    sure: bool, run: Path, photo_folder: Path, run_main: RunMain
) -> None:
    photo = next((photo_folder / "Green").iterdir())
    threshold = 0.0 if sure else 2.0
    store_calibration(run, Calibration(temperature=0.5, threshold=threshold, photos=40))
    text = run_main(predict_main, run, photo).out
    assert text.startswith(f"{photo}: not sure, perhaps ") == (not sure)
    table = run_main(predict_main, run, photo, "--all").out
    assert table.splitlines()[0] == (f"{photo}:" if sure else f"{photo}: not sure")
    found = json.loads(run_main(predict_main, run, photo, "--json").out)
    classifier = load_classifier(run)
    logits = classifier.logits(classifier.preprocessing.load(photo)[None])
    expected = np.exp(logits[0] / 0.5) / np.exp(logits[0] / 0.5).sum()
    assert found["sure"] == sure
    off = rounding(additions(classifier.model), float(np.abs(logits / 0.5).max())) / 2
    assert found["probability"] == pytest.approx(expected.max(), abs=off)


def test_the_picture_of_predictions_says_what_it_is_not_sure_of(
    run: Path, photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    photos = sorted((photo_folder / "Green").iterdir())[:5]
    results = [json.loads(line) for line in run_main(predict_main, run, *photos, "--json").out.splitlines()]
    middle = sorted(result["probability"] for result in results)[2]
    temperature = load_classifier(run).calibration.temperature
    store_calibration(run, Calibration(temperature=temperature, threshold=middle - 1e-6, photos=6))
    flags = []
    monkeypatch.setattr("paddle_wrn.drawing.sheets.prediction_sheet", lambda *given: flags.extend(given[3]))
    run_main(predict_main, run, *photos, "--picture", tmp_path / "a.png")
    assert flags == [result["probability"] >= middle - 1e-6 for result in results]
    assert flags.count(False) == 2


def test_a_folder_without_weights_is_refused(data_folder: Path, tmp_path: Path, run_main: RunMain) -> None:
    outcome = run_main(main, tmp_path, "--data", data_folder)
    assert outcome.code == 2
    assert f"{tmp_path}: holds no trained network" in outcome.err


@pytest.mark.numeric
def test_probabilities_are_of_the_same_logits_that_were_calibrated(trained: Path, photo_folder: Path) -> None:
    classifier = load_classifier(trained)
    images = np.stack([classifier.preprocessing.load(path) for path in (photo_folder / "Green").iterdir()])
    assert classifier.preprocessing.mirror
    expected = classifier.calibration.probabilities(classifier.logits(images))
    off = logit_rounding(classifier, images) / 2
    assert classifier.probabilities(images) == pytest.approx(expected, abs=off)
    assert classifier.probabilities(images[:, :, ::-1]) == pytest.approx(expected, abs=off)
