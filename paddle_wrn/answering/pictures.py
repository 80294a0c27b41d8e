"""Pictures of how a network answers: confusion, reliability, precision over recall."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.drawing import plots
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.scoring import metrics
from paddle_wrn.scoring.reliability import reliability
from paddle_wrn.scoring.scores import Scores


def draw_confusion(file: Path, scores: Scores, preprocessing: Preprocessing, what: str) -> None:
    """Draw a confusion matrix."""
    names = plots.labels_for(preprocessing.classes, preprocessing.display_names)
    title = f"{what}: {scores.correct} of {scores.images} right"
    plots.save(plots.confusion(scores.confusion, names, title), file)


def draw_reliability(
    file: Path, logits: NDArray[np.float32], labels: NDArray[np.int64], calibration: Calibration, split: str
) -> None:
    """Draw how often probabilities are right, with the calibration and without."""
    before = reliability(metrics.softmax(logits), labels)
    after = reliability(calibration.probabilities(logits), labels) if calibration.photos else None
    title = f"{len(labels)} {split} photos"
    plots.save(plots.reliability_diagram(before, after, title, calibration.threshold), file)


def draw_precision_recall(
    file: Path, logits: NDArray[np.float32], labels: NDArray[np.int64], classifier: Classifier
) -> None:
    """Draw precision over recall for each class."""
    curves = metrics.precision_recall(classifier.calibration.probabilities(logits), labels)
    contract = classifier.preprocessing
    names = plots.labels_for(contract.classes, contract.display_names)
    plots.save(plots.precision_recall(curves, names, f"{len(labels)} test photos"), file)
