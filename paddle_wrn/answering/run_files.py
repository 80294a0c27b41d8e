"""What a run says of its own validation and test photos -> the files that depend on the calibration.

Training writes them at its end, and `calibrate` again. Both write `metrics.json` last: once it is there, or
new, the others are.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.answer import answers_from
from paddle_wrn.answering.calibration import score_calibrated
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.answering.pictures import draw_precision_recall, draw_reliability
from paddle_wrn.photos.lists import Labelled
from paddle_wrn.runs.results import TestAnswer, answers_text
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.system.files import write_text

AllPhotos = Mapping[str, Labelled]  # `val` and `test`, as far as there are such photos
AllLogits = Mapping[str, NDArray[np.float32]]


def score_lists(classifier: Classifier, photos: AllPhotos, logits: AllLogits) -> dict[str, Scores]:
    """Return the figures of each list."""
    contract, calibration = classifier.preprocessing, classifier.calibration
    return {
        name: score_calibrated(logits[name], photos[name].labels, contract, calibration) for name in logits
    }


def write_answers(
    run: RunFolder, classifier: Classifier, photos: AllPhotos, logits: AllLogits, folder: Path | str
) -> None:
    """Write `test_predictions.csv`, if there are test photos.

    Args:
        run: where to.
        classifier: the network; its calibration decides what is sure.
        photos: of the lists.
        logits: what the network gave for them.
        folder: of the lists; a path that begins with it is given from there.
    """
    if "test" in photos:
        write_text(run.answers_file, answers_text(_said(classifier, photos["test"], logits["test"], folder)))


def draw_probabilities(run: RunFolder, classifier: Classifier, photos: AllPhotos, logits: AllLogits) -> None:
    """Draw `reliability.png` of the validation photos and `precision_recall.png` of the test photos."""
    if "val" in photos:
        labels, calibration = photos["val"].labels, classifier.calibration
        draw_reliability(run.reliability, logits["val"], labels, calibration, "validation")
    if "test" in photos:
        draw_precision_recall(run.precision_recall, logits["test"], photos["test"].labels, classifier)


def _said(
    classifier: Classifier, photos: Labelled, logits: NDArray[np.float32], folder: Path | str
) -> list[TestAnswer]:
    classes, start = classifier.preprocessing.classes, Path(folder).absolute()
    said = []
    for path, label, answer in zip(
        photos.paths, photos.labels, answers_from(classifier, logits), strict=True
    ):
        absolute = path.absolute()
        shown = absolute.relative_to(start) if absolute.is_relative_to(start) else path
        predicted = classes[answer.label]
        said.append(TestAnswer(shown.as_posix(), classes[label], predicted, answer.probability, answer.sure))
    return said
