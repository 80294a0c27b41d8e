"""What a network says of a photo, and the one place where that is made from its logits."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.scoring.metrics import Logits

Verdict = Literal["sure", "not_sure"]


@dataclass(frozen=True)
class Answer:
    """What a network says of a photo.

    Attributes:
        labels: of all C classes, the most probable first.
        probabilities: of these classes, calibrated; they sum to 1.
        verdict: `sure` if the highest probability reaches the network's threshold, else `not_sure`.
    """

    labels: tuple[int, ...]
    probabilities: tuple[float, ...]
    verdict: Verdict

    @property
    def label(self) -> int:
        """The most probable class."""
        return self.labels[0]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.probabilities[0]

    @property
    def sure(self) -> bool:
        """Whether the network is sure of it."""
        return self.verdict == "sure"


def answers_from(classifier: Classifier, logits: Logits) -> list[Answer]:
    """Return what a network says of photos.

    Args:
        classifier: the network, or an exported one; its calibration decides.
        logits: (N, C), as `Classifier.logits` gives them.

    Returns:
        N answers.
    """
    probabilities = classifier.calibration.probabilities(logits)
    sure = classifier.calibration.sure(probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    return [
        Answer(tuple(labels), tuple(shares), "sure" if is_sure else "not_sure")
        for labels, shares, is_sure in zip(order.tolist(), ordered.tolist(), sure.tolist(), strict=True)
    ]
