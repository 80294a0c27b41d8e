"""Photos with what there is to say of each: errors, doubtful right answers, suspicious labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.answer import answers_from
from paddle_wrn.answering.explanations import grad_cam, overlay
from paddle_wrn.errors import UserError
from paddle_wrn.pages.html import data_uri
from paddle_wrn.pages.report.findings import Findings, HeldOut, nearest
from paddle_wrn.photos.thumbnails import Pixels, listed_thumbnails
from paddle_wrn.studies.judgements import Judgements

CARDS = 12  # of errors, and of right answers
LABEL_CARDS = 24
LARGE, SMALL = 224, 96  # pixels of the longer side of a photo
QUALITY = 80  # of the photos' JPEG files


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


def answer_cards(findings: Findings, held_out: HeldOut, chosen: Sequence[int]) -> list[Card]:
    """Return cards of photos the network did not learn from, with what spoke for the answers."""
    if not chosen:
        return []
    rows, names, photos = list(chosen), findings.names, held_out.photos
    paths = [photos.paths[i] for i in rows]
    pictures = listed_thumbnails(paths, findings.folder.train.file, LARGE)
    heats = _heats(findings, photos.images[rows], held_out.predicted[rows])
    answers = answers_from(findings.classifier, held_out.logits[rows])
    return [
        Card(
            path=findings.shown_as(path),
            picture=photo_uri(picture),
            overlay=None if heats is None else photo_uri(overlay(picture, heats[number])),
            truth=names[photos.labels[i]],
            said=names[answer.label],
            probability=answer.probability,
            truth_probability=float(held_out.probabilities[i, photos.labels[i]]),
            sure=answer.sure,
        )
        for number, (i, path, picture, answer) in enumerate(zip(rows, paths, pictures, answers, strict=True))
    ]


def error_cards(findings: Findings, held_out: HeldOut, chosen: Sequence[int]) -> list[Card]:
    """Return cards of wrong answers, with the training photos that are most like them."""
    cards = answer_cards(findings, held_out, chosen)
    if not cards:
        return []
    names, train = findings.names, findings.train
    try:
        indices, distances = nearest(findings, held_out.photos.images[list(chosen)])
    except UserError:  # a network without a last linear layer
        return cards
    needed = np.unique(indices).tolist()
    paths = [train.paths[i] for i in needed]
    pictures = listed_thumbnails(paths, findings.folder.train.file, SMALL)
    shown = {i: photo_uri(picture) for i, picture in zip(needed, pictures, strict=True)}
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
    pictures = listed_thumbnails(files, findings.folder.train.file, LARGE)
    return [
        Card(
            path=findings.shown_as(path),
            picture=photo_uri(picture),
            overlay=None,
            truth=names[judgements.labels[i]],
            said=names[judgements.predicted[i]],
            probability=float(judgements.probability[i]),
            truth_probability=float(judgements.label_probability[i]),
        )
        for i, path, picture in zip(chosen, files, pictures, strict=True)
    ]


def photo_uri(picture: Pixels) -> str:
    """Return a photo as the address of an `<img>`. Shape: (H, W, 3)."""
    return data_uri(picture, QUALITY)


def _heats(
    findings: Findings, images: NDArray[np.uint8], predicted: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Return what spoke for the answers, or None if the network does not let itself be asked."""
    try:
        return grad_cam(findings.classifier, images, predicted)
    except UserError:
        return None
