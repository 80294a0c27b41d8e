"""How well a network did on one list of photos, as a record."""

from typing import Any

from pydantic import Field

from paddle_wrn.system.records import Record

Interval = tuple[float, float]  # of 95 %, shares


class ClassScores(Record):
    """How well one class was told from the others; all shares are 0..1.

    Attributes:
        name: of the class.
        display_name: what to show to people.
        images: photos of the class.
        precision: share of the photos named so that are of the class; 0 if none was named so.
        recall: share of the photos of the class that were named so.
        f1: harmonic mean of the two.
    """

    name: str = Field(alias="class")
    display_name: str
    images: int
    precision: float
    recall: float
    f1: float


class CalibrationScores(Record):
    """How honest the probabilities were; all shares are 0..1.

    Attributes:
        temperature, threshold, wished_error, photos: as of `answering.calibration.Calibration`.
        ece: expected calibration error.
        ece_uncalibrated: the same without the temperature.
        loss_uncalibrated: cross-entropy without the temperature, nats.
        sure: number of answers that were called sure.
        coverage: share of the answers that were.
        sure_wrong: how many of them were wrong.
        sure_error: share of them that was wrong; None if none was sure.
        sure_error_interval_95: of that share.
    """

    temperature: float
    threshold: float
    wished_error: float
    photos: int
    ece: float
    ece_uncalibrated: float
    loss_uncalibrated: float
    sure: int
    coverage: float
    sure_wrong: int
    sure_error: float | None
    sure_error_interval_95: Interval | None


class Scores(Record):
    """All figures of one list of photos; all shares are 0..1.

    Attributes:
        images: number of photos.
        correct: how many were named rightly.
        accuracy: the share that was.
        interval_95: where the true share is likely to lie (Wilson).
        top_k: k -> share of the photos whose class was among the k most probable.
        loss: mean cross-entropy, nats.
        per_class: a row for each class, by label.
        confusion: (C, C) counts; rows are the truth, columns the answers.
        calibration: how honest the probabilities were; None in runs of early versions.
    """

    images: int = Field(gt=0)
    correct: int
    accuracy: float
    interval_95: Interval
    top_k: dict[int, float]
    loss: float
    per_class: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: CalibrationScores | None = None

    def plain(self) -> dict[str, Any]:
        """Return what the files hold, without a `calibration` that there is not."""
        found = super().plain()
        if self.calibration is None:
            del found["calibration"]
        return found

    def __str__(self) -> str:
        """Say the accuracy: `0.933 (28 of 30 right; the true rate is likely between 0.787 and 0.982)`."""
        low, high = self.interval_95
        return (
            f"{self.accuracy:.3f} ({self.correct} of {self.images} right; "
            f"the true rate is likely between {low:.3f} and {high:.3f})"
        )
