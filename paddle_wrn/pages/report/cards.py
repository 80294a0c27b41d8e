"""Photos with what there is to say of each: errors, doubtful right answers, suspicious labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.explanations import grad_cam, overlay
from paddle_wrn.errors import UserError
from paddle_wrn.pages.report.findings import Findings, Judged, nearest
from paddle_wrn.pages.report.pictures import LARGE, SMALL, data_uri, thumbnails
from paddle_wrn.studies.judgements import Judgements

CARDS = 12  # of errors, and of right answers
LABEL_CARDS = 24


@dataclass(frozen=True)
class Neighbour:
    """A training photo that the network finds like another photo."""

    picture: str
    truth: str
    distance: float


@dataclass(frozen=True)
class Card:
    """A photo; pictures are addresses for `<img>`, classes are given by their display names.

    Attributes:
        path: of the photo, for people.
        picture: the photo.
        overlay: the photo with what spoke for the answer; None: that is not known.
        truth: the class in the list.
        said: what the network says.
        probability: of what it says.
        truth_probability: of the class in the list.
        sure: whether the network calls its answer sure.
        neighbours: training photos, the nearest first.
    """

    path: str
    picture: str
    overlay: str | None
    truth: str
    said: str
    probability: float
    truth_probability: float
    sure: bool = True
    neighbours: tuple[Neighbour, ...] = ()


def answer_cards(findings: Findings, judged: Judged, chosen: Sequence[int]) -> list[Card]:
    """Return cards of photos that were judged, with what spoke for the answers."""
    if not chosen:
        return []
    names = findings.names
    paths = [judged.photos.paths[i] for i in chosen]
    pictures = thumbnails(paths, findings.folder.train.file, LARGE)
    heats = _heats(findings, judged.photos.images[list(chosen)], judged.predicted[list(chosen)])
    sure = findings.classifier.calibration.sure(judged.probabilities)
    return [
        Card(
            path=findings.shown_as(path),
            picture=data_uri(picture),
            overlay=None if heats is None else data_uri(overlay(picture, heats[number])),
            truth=names[judged.photos.labels[i]],
            said=names[judged.predicted[i]],
            probability=float(judged.probabilities[i].max()),
            truth_probability=float(judged.probabilities[i, judged.photos.labels[i]]),
            sure=bool(sure[i]),
        )
        for number, (i, path, picture) in enumerate(zip(chosen, paths, pictures, strict=True))
    ]


def error_cards(findings: Findings, judged: Judged, chosen: Sequence[int]) -> list[Card]:
    """Return cards of wrong answers, with the training photos that are most like them."""
    cards = answer_cards(findings, judged, chosen)
    if not cards:
        return []
    names, train = findings.names, findings.train
    try:
        indices, distances = nearest(findings, judged.photos.images[list(chosen)])
    except UserError:  # a network without a last linear layer
        return cards
    needed = np.unique(indices).tolist()
    pictures = thumbnails([train.paths[i] for i in needed], findings.folder.train.file, SMALL)
    shown = {i: data_uri(picture) for i, picture in zip(needed, pictures, strict=True)}
    return [
        replace(
            card,
            neighbours=tuple(
                Neighbour(shown[int(i)], names[train.labels[i]], float(distance))
                for i, distance in zip(near, far, strict=True)
            ),
        )
        for card, near, far in zip(cards, indices, distances, strict=True)
    ]


def label_cards(findings: Findings, judgements: Judgements, chosen: Sequence[int]) -> list[Card]:
    """Return cards of photos whose labels are in doubt."""
    names = findings.names
    files = [findings.folder.folder / Path(judgements.paths[i]) for i in chosen]
    pictures = thumbnails(files, findings.folder.train.file, LARGE)
    return [
        Card(
            path=findings.shown_as(path),
            picture=data_uri(picture),
            overlay=None,
            truth=names[judgements.labels[i]],
            said=names[judgements.predicted[i]],
            probability=float(judgements.probability[i]),
            truth_probability=float(judgements.label_probability[i]),
        )
        for i, path, picture in zip(chosen, files, pictures, strict=True)
    ]


def _heats(
    findings: Findings, images: NDArray[np.uint8], predicted: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Return what spoke for the answers, or None if the network does not let itself be asked."""
    try:
        return grad_cam(findings.classifier, images, predicted)
    except UserError:
        return None
