"""Scoring a trained network on a list of photos: one from its data folder, or any other."""

from pathlib import Path

import numpy as np

from paddle_wrn.answering.answer import answers_from
from paddle_wrn.answering.calibration import score_calibrated
from paddle_wrn.answering.classifier import Classifier, load_classifier
from paddle_wrn.answering.pictures import draw_confusion, draw_reliability
from paddle_wrn.answering.run_photos import AskedPhotos, ask, find_list
from paddle_wrn.drawing import plots, sheets
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
    contract = classifier.preprocessing
    photo_list = find_list(run, contract, data, split, list_file)
    asked = ask(classifier, run, photo_list)
    scores = score_calibrated(asked.logits, asked.labels, contract, classifier.calibration)
    if run.is_dir():
        folder = run / "evaluation"
        folder.mkdir(exist_ok=True)
        name = photo_list.file.stem
        write_text(folder / f"{name}.json", scores.text())
        draw_confusion(folder / f"{name}_confusion.png", scores, contract, f"{name} photos")
        picture = folder / f"{name}_reliability.png"
        draw_reliability(picture, asked.logits, asked.labels, classifier.calibration, name)
        _draw_photos(folder / f"{name}_photos.png", asked, classifier)
    return scores


def _draw_photos(file: Path, asked: AskedPhotos, classifier: Classifier) -> None:
    """Draw the most confident errors, then the least confident right answers."""
    contract = classifier.preprocessing
    names = plots.labels_for(contract.classes, contract.display_names)
    confidence = classifier.calibration.probabilities(asked.logits).max(axis=1)
    wrong = asked.logits.argmax(axis=1) != asked.labels
    order = np.argsort(np.where(wrong, -1 - confidence, confidence), kind="stable")[:SHEET_PHOTOS]
    captions = []
    for i, answer in zip(order, answers_from(classifier, asked.logits[order]), strict=True):
        lines = [f"{names[answer.label]} {answer.probability:.0%}"]
        lines += [f"is {names[asked.labels[i]]}"] if wrong[i] else []
        lines += [] if answer.sure else ["not sure"]
        captions.append("\n".join(lines))
    plots.save(sheets.photo_sheet(asked.photos.images[order], captions, wrong[order].tolist()), file)
