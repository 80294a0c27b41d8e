"""Honest probabilities: a temperature, and a threshold below which the answer is "not sure".

Both are fitted on the validation photos alone. The temperature divides the logits (Guo, Pleiss, Sun and
Weinberger, On Calibration of Modern Neural Networks, ICML 2017), so the order of the classes stays as it is.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.scoring import metrics
from paddle_wrn.scoring.metrics import Logits, Probabilities
from paddle_wrn.scoring.reliability import expected_calibration_error
from paddle_wrn.scoring.scores import CalibrationScores, Scores

WISHED_ERROR = 0.05  # of the answers that are called sure
HOTTEST = 20.0  # and its inverse the coldest temperature that is tried
NEVER = 2.0  # a threshold above every probability


class Calibration(BaseModel):
    """What makes the probabilities of one network honest; without a fit, it changes nothing.

    Attributes:
        temperature: what logits are divided by.
        threshold: an answer with a probability below it is "not sure"; `NEVER`: none is sure.
        wished_error: share of the sure answers that may be wrong, as it was wished.
        photos: validation photos it was fitted on; 0: not fitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(1.0, ge=1 / HOTTEST, le=HOTTEST)
    threshold: float = Field(0.0, ge=0, le=NEVER)
    wished_error: float = Field(WISHED_ERROR, gt=0, lt=1)
    photos: NonNegativeInt = 0

    def scale(self, logits: Logits) -> NDArray[np.float64]:
        """Return logits at this temperature. Shape: (N, C) -> (N, C)."""
        return logits.astype(np.float64) / self.temperature

    def probabilities(self, logits: Logits) -> Probabilities:
        """Return calibrated probabilities. Shape: (N, C) -> (N, C), rows sum to 1."""
        return metrics.softmax(self.scale(logits))

    def sure(self, probabilities: Probabilities) -> NDArray[np.bool_]:
        """Return whether each answer is sure. Shape: (N, C) -> (N,)."""
        return probabilities.max(axis=1) >= self.threshold

    def __str__(self) -> str:
        """Say it in one line for people."""
        if self.photos == 0:
            return "the probabilities are not calibrated, and no answer is called not sure"
        sure = f"sure at a probability of {self.threshold:.3f} or more"
        if self.threshold > 1:
            sure = f"no answer is sure enough for an error rate of {self.wished_error:g}"
        few = f", too few to show an error rate of {self.wished_error:g}"
        return f"temperature {self.temperature:.3f}, {sure}; fitted on {self.photos} validation photos" + (
            few if self.photos * self.wished_error < 1 else ""
        )


def fit(logits: Logits, labels: NDArray[np.int64], wished_error: float = WISHED_ERROR) -> Calibration:
    """Fit temperature and threshold to photos the network was not trained on.

    Args:
        logits: (N, C), as they are used later (the mean over mirror images, if that is used).
        labels: (N,).
        wished_error: share of the sure answers that may be wrong.

    Returns:
        The temperature of the least cross-entropy, and the smallest threshold that keeps the wish.
    """
    if len(labels) == 0:
        return Calibration(wished_error=wished_error)
    warm = Calibration(temperature=_fit_temperature(logits, labels), wished_error=wished_error)
    threshold = _fit_threshold(warm.probabilities(logits), labels, wished_error)
    return warm.model_copy(update={"threshold": threshold, "photos": len(labels)})


def _fit_temperature(logits: Logits, labels: NDArray[np.int64]) -> float:
    """Return the temperature of the least cross-entropy, or 1 where no other is better.

    1 / (N + 1) of each target is spread over all classes, as if of one photo more any class could be true
    (after Platt, Probabilistic Outputs for Support Vector Machines, 1999). Without that, a few photos that
    are all answered rightly would ask for a temperature of 0: for certainty.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    spread = 1 / (len(labels) + 1)
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    wanted = (1 - spread) * shifted[np.arange(len(labels)), labels] + spread * shifted.mean(axis=1)

    def loss(log_temperature: float) -> float:
        sharpness = np.exp(-log_temperature)  # the loss is convex in it, so there is one minimum
        return float((logsumexp(shifted * sharpness, axis=1) - wanted * sharpness).mean())

    bound = np.log(HOTTEST)
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x)) if found.fun < loss(0) else 1.0


def _fit_threshold(probabilities: Probabilities, labels: NDArray[np.int64], wished_error: float) -> float:
    """Return the smallest of the answers' probabilities from which on at most the wished share is wrong.

    That must be so by count and by the probabilities themselves: the count alone is too hopeful, since these
    photos have chosen the epoch, and counts of few photos hang on chance. The threshold never lies below what
    was seen: of lower probabilities the photos say nothing.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    counted = np.cumsum((probabilities.argmax(axis=1) != labels)[order])
    expected = np.cumsum(1 - falling)
    good = np.maximum(counted, expected) / np.arange(1, len(labels) + 1) <= wished_error
    good &= np.append(falling[1:] < falling[:-1], True)  # equal probabilities come together or not at all
    return float(falling[good][-1]) if good.any() else NEVER


def score_calibrated(
    logits: Logits, labels: NDArray[np.int64], preprocessing: Preprocessing, calibration: Calibration
) -> Scores:
    """Return the figures at the temperature, and how honest the probabilities are.

    Args:
        logits: (N, C).
        labels: (N,).
        preprocessing: names the C classes.
        calibration: of the network.

    Raises:
        UserError: a logit is not a finite number.
    """
    scores = metrics.score(
        calibration.scale(logits), labels, preprocessing.classes, preprocessing.display_names
    )
    raw, probabilities = metrics.softmax(logits), calibration.probabilities(logits)
    sure = calibration.sure(probabilities)
    count = int(sure.sum())
    wrong = int((probabilities.argmax(axis=1) != labels)[sure].sum())
    trust = CalibrationScores(
        **calibration.model_dump(),
        ece=expected_calibration_error(probabilities, labels),
        ece_uncalibrated=expected_calibration_error(raw, labels),
        loss_uncalibrated=metrics.cross_entropy(logits, labels),
        sure=count,
        coverage=count / len(labels),
        sure_wrong=wrong,
        sure_error=wrong / count if count else None,
        sure_error_interval_95=metrics.wilson_interval(wrong, count) if count else None,
    )
    return scores.model_copy(update={"calibration": trust})


def describe_calibration(scores: Scores) -> list[str]:
    """Say in two lines how honest probabilities are; nothing where that was not measured."""
    found = scores.calibration
    if found is None:
        return []
    fitted = f"{found.ece_uncalibrated:.3f} without the temperature"
    before = fitted if found.photos else "not calibrated; python -m paddle_wrn.calibrate does that"
    lines = [f"calibration error {found.ece:.3f} ({before})"]
    if found.photos:
        lines.append(f"sure answers {found.sure} of {scores.images}")
        if found.sure_error is not None and found.sure_error_interval_95 is not None:
            low, high = found.sure_error_interval_95
            lines[-1] += (
                f", {found.sure_wrong} of them wrong: {found.sure_error:.3f} (wished: at most "
                f"{found.wished_error:.2g}; the true rate is likely between {low:.3f} and {high:.3f})"
            )
    return lines
