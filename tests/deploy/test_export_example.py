"""The example in an exported folder: it runs where paddle_wrn is not, and answers as we do."""

import hashlib
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from untrained_runs import SHOWN, make_run, needs_onnx

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import load_classifier, store_calibration
from paddle_wrn.deploy.exporting import export


@pytest.fixture(scope="module")
def run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with its photos; tests only read it."""
    return make_run(tmp_path_factory.mktemp("export") / "run", data_folder, strides=[2, 1, 2, 2])


def odd_photos(folder: Path, photo: Path) -> list[Path]:
    """Make photos that are read in every way there is."""
    folder.mkdir()
    pixels = np.random.default_rng(2).integers(0, 256, (300, 500, 3), np.uint8)
    large = Image.fromarray(pixels).resize((1500, 900))
    exif = large.getexif()
    exif[0x0112] = 6
    large.save(folder / "turned.jpg", exif=exif)
    large.resize((40, 30)).save(folder / "small turned.jpg", exif=exif)
    large.resize((30, 40)).save(folder / "turned.png", exif=exif)
    large.convert("L").save(folder / "grey.jpg")
    large.convert("CMYK").save(folder / "cmyk.jpg")
    large.convert("P").save(folder / "palette.png")
    layer = Image.fromarray(np.random.default_rng(3).integers(0, 256, (50, 70, 4), np.uint8))
    layer.save(folder / "transparent.png")
    layer.convert("LA").save(folder / "grey transparent.png")
    Image.fromarray(np.arange(4000, dtype=np.uint16).reshape(50, 80) * 16).save(folder / "16 bit.png")
    Image.new("RGB", (400, 1), "red").save(folder / "line.png")
    shutil.copy(photo, folder / "photo.jpg")
    return sorted(folder.iterdir())


CHILD = """
import hashlib, json, runpy, sys
sys.modules["paddle_wrn"] = None  # as where it is not installed
example, *photos = sys.argv[1:]
sys.argv = [example]
its = runpy.run_path(example)
answers = {}
for draft in (True, False):
    its["INPUT"]["draft"] = draft
    for photo in photos:
        square = hashlib.sha256(its["read_square"](photo).tobytes()).hexdigest()
        answers[f"{draft} {photo}"] = [square, its["classify"](photo).tolist()]
print(json.dumps(answers))
"""


@pytest.mark.parametrize("format_", ["paddle", pytest.param("onnx", marks=needs_onnx)])
def test_the_example_answers_as_we_do_without_us(
    format_: str, run: Path, photo_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    export(run, folder, format_)
    photos = odd_photos(tmp_path / "odd", next((photo_folder / "Green").iterdir()))
    command = [sys.executable, "-c", CHILD, str(folder / "example.py"), *map(str, photos)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == 2 * len(photos) == 22
    classifier = load_classifier(run)
    for draft in (True, False):
        contract = classifier.preprocessing.model_copy(update={"draft": draft})
        for photo in photos:
            square = contract.load(photo)
            pixels, found = answers[f"{draft} {photo}"]
            assert pixels == hashlib.sha256(square.tobytes()).hexdigest(), (draft, photo.name)
            np.testing.assert_allclose(found, classifier.probabilities(square[None])[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("threshold", "doubt"), [(0.0, ""), (2.0, "not sure, perhaps ")])
def test_the_example_prints_species_probability_and_doubt(
    threshold: float,
    doubt: str,
    run: Path,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(run, tmp_path / "run")
    store_calibration(tmp_path / "run", Calibration(temperature=2.0, threshold=threshold, photos=6))
    export(tmp_path / "run", tmp_path / "exported", "pdparams")
    photo = next((photo_folder / "Green").iterdir())
    monkeypatch.setattr(sys, "argv", ["example.py", str(photo)])
    runpy.run_path(str(tmp_path / "exported" / "example.py"))
    classifier = load_classifier(run)
    logits = classifier.logits(classifier.preprocessing.load(photo)[None])
    probabilities = Calibration(temperature=2.0).probabilities(logits)[0]
    best = int(probabilities.argmax())
    assert capsys.readouterr().out == f"{photo}: {doubt}{SHOWN[best]} {probabilities[best]:.1%}\n"
