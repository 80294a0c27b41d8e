"""Score a trained network on one of the lists of its data folder, or on any other list."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddle_wrn.answering.calibration import score_calibrated
from paddle_wrn.answering.classifier import Classifier, load_classifier
from paddle_wrn.answering.pictures import draw_confusion, draw_reliability
from paddle_wrn.drawing import plots, sheets
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import PhotoList, read_classes, read_data_folder, read_list
from paddle_wrn.photos.loading import Photos, load_photos
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.system.device import select_device
from paddle_wrn.system.files import write_text

SHEET_PHOTOS = 24  # in the picture of errors and doubtful answers


def evaluate(
    run: Path | str,
    *,
    data: Path | str | None = None,
    split: str = "test",
    list_file: Path | str | None = None,
    device: str = "auto",
) -> Scores:
    """Score the kept weights of a run, and write the figures into its `evaluation` folder.

    Args:
        run: run folder, or a `best.safetensors` file (then nothing is written).
        data: folder that `split_data` wrote; by default the one the run was trained on.
        split: `train`, `val` or `test`.
        list_file: a list to score instead of one of the data folder.
        device: `auto`, `cpu`, `gpu` or `gpu:N`.

    Raises:
        UserError: no such run or list, or classes that are not the run's.
    """
    run = Path(run)
    select_device(device)
    classifier = load_classifier(run)
    photo_list = list_to_score(run, classifier.preprocessing, data, split, list_file)
    contract = classifier.preprocessing
    photos = load_photos(photo_list, contract.size, draft=contract.draft)
    with tqdm(total=len(photos), unit="photo", leave=False, disable=not sys.stderr.isatty()) as bar:
        logits = classifier.logits(photos.images, bar.update)
    scores = score_calibrated(logits, photos.labels, contract, classifier.calibration)
    if run.is_dir():
        folder = run / "evaluation"
        folder.mkdir(exist_ok=True)
        name = photo_list.file.stem
        write_text(folder / f"{name}.json", scores.text())
        draw_confusion(folder / f"{name}_confusion.png", scores, contract, f"{name} photos")
        picture = folder / f"{name}_reliability.png"
        draw_reliability(picture, logits, photos.labels, classifier.calibration, name)
        _draw_photos(folder / f"{name}_photos.png", photos, logits, classifier)
    return scores


def _draw_photos(file: Path, photos: Photos, logits: NDArray[np.float32], classifier: Classifier) -> None:
    """Draw the most confident errors, then the least confident right answers."""
    contract = classifier.preprocessing
    names = plots.labels_for(contract.classes, contract.display_names)
    probabilities = classifier.calibration.probabilities(logits)
    sure = classifier.calibration.sure(probabilities)
    predicted = logits.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = predicted != photos.labels
    order = np.argsort(np.where(wrong, -1 - confidence, confidence), kind="stable")[:SHEET_PHOTOS]
    captions = []
    for i in order:
        lines = [f"{names[predicted[i]]} {confidence[i]:.0%}"]
        lines += [f"is {names[photos.labels[i]]}"] if wrong[i] else []
        lines += [] if sure[i] else ["not sure"]
        captions.append("\n".join(lines))
    plots.save(sheets.photo_sheet(photos.images[order], captions, wrong[order].tolist()), file)


def list_to_score(
    run: Path,
    preprocessing: Preprocessing,
    data: Path | str | None,
    split: str,
    list_file: Path | str | None = None,
) -> PhotoList:
    """Return the list of photos that is asked for, see `evaluate`.

    Raises:
        UserError: there is none, or it has other classes than the network.
    """
    if list_file is not None:
        beside = Path(list_file).parent / "classes.txt"
        if beside.is_file():
            _refuse_other_classes(read_classes(beside).names, preprocessing, beside)
        photo_list = read_list(list_file, len(preprocessing.classes))
        if len(photo_list) == 0:
            raise UserError(f"{list_file}: the list is empty; it needs at least one `path label` line")
        return photo_list
    if split not in ("train", "val", "test"):
        raise UserError(f"split: found {split!r}; choose train, val or test")
    if data is None:
        config = RunFolder(run).config()
        if config is None:
            raise UserError(f"{run}: does not say which photos it was trained on; give --data or --list")
        data = config.data
    folder = read_data_folder(data)
    _refuse_other_classes(folder.classes.names, preprocessing, folder.folder)
    return folder.split(split)


def _refuse_other_classes(found: Sequence[str], preprocessing: Preprocessing, where: Path) -> None:
    if tuple(found) != preprocessing.classes:
        raise UserError(
            f"{where}: has the classes {', '.join(found)}, but the network was trained on "
            f"{', '.join(preprocessing.classes)}; give lists with the same classes in the same order"
        )
