"""Uploaded photos -> what the network says of each, and of all of them together. Knows nothing of pages."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.answer import Answer, answers_from
from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.answering.explanations import grad_cam, overlay
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.photos.thumbnails import thumbnail

Pixels = NDArray[np.uint8]

MOST_PHOTOS = 12  # of one visitor at a time
MOST_SECONDS = 30.0  # after which no further photo is begun
SIDE = 480  # pixels of the longer side of a photo on the page


@dataclass(frozen=True)
class AnsweredPhoto:
    """One photo and its answer.

    Attributes:
        name: of the file.
        photo: (H, W, 3).
        heat: the same with the map of what speaks for the answer; None where the network gives none.
    """

    name: str
    photo: Pixels
    heat: Pixels | None
    answer: Answer


@dataclass(frozen=True)
class Refused:
    """A photo without an answer, and why, in one sentence that begins with its name."""

    reason: str


@dataclass(frozen=True)
class Reply:
    """What is said of all photos of one visit.

    Attributes:
        photos: each of them, in order.
        together: of all that could be read, as photos of one subject; None unless that was asked of several.
        left_out: how many were too many, or came too late.
    """

    photos: tuple[AnsweredPhoto | Refused, ...]
    together: Answer | None
    left_out: int


def judge(classifier: Classifier, photos: Sequence[tuple[str, Path]], *, one_subject: bool = False) -> Reply:
    """Say what photos show.

    Photos of one subject are answered by the mean of their logits, which is the mean of their
    log-probabilities: a clear photo outweighs a vague one, and more photos of the same kind make the answer
    no surer, since photos of one bird have much in common. (Their sum would take them for independent.)

    Args:
        classifier: the network.
        photos: name and file of each.
        one_subject: whether all show the same bird, or whatever it is.
    """
    began = time.monotonic()
    results: list[AnsweredPhoto | Refused] = []
    rows: list[NDArray[np.float32]] = []
    for name, file in photos[:MOST_PHOTOS]:
        if time.monotonic() - began > MOST_SECONDS:
            break
        try:
            logits, answered = _judge_one(classifier, name, file)
        except ImageError as error:
            results.append(Refused(str(error).replace(str(file), name)))
        else:
            rows.append(logits)
            results.append(answered)
    together = None
    if one_subject and len(rows) > 1:
        (together,) = answers_from(classifier, np.mean(rows, axis=0, keepdims=True))
    return Reply(tuple(results), together, len(photos) - len(results))


def _judge_one(classifier: Classifier, name: str, file: Path) -> tuple[NDArray[np.float32], AnsweredPhoto]:
    """Return logits (C,) and what the page shows."""
    square, photo = classifier.preprocessing.load(file)[None], thumbnail(file, SIDE)
    logits = classifier.logits(square)
    (answer,) = answers_from(classifier, logits)
    try:
        heat = overlay(photo, grad_cam(classifier, square, answer.labels[:1])[0])
    except UserError:  # an exported network, or one without a feature map
        heat = None
    return logits[0], AnsweredPhoto(name, photo, heat, answer)
