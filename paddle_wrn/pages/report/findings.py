"""A run folder and its photos -> everything the page tells, as numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.calibration import score_calibrated
from paddle_wrn.answering.classifier import Classifier, find_checkpoint, load_classifier
from paddle_wrn.answering.explanations import features
from paddle_wrn.answering.run_photos import ask, load_run_photos
from paddle_wrn.config import Config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import DataFolder, PhotoList, read_data_folder
from paddle_wrn.photos.loading import Photos
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.photos.splitting.record import SplitRecord, read_record
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.runs.results import Results
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.scoring.scores import Scores
from paddle_wrn.studies.judgements import Judgements, judge, listed_as, read_judgements
from paddle_wrn.system.console import command_line

NEIGHBOURS = 3
NEIGHBOURS_AMONG = 5000  # training photos; of more, so many are drawn


@dataclass(frozen=True)
class HeldOut:
    """A list of photos the network did not learn from, and what it says of them.

    Attributes:
        photos: N decoded photos.
        logits: (N, C).
        probabilities: (N, C), calibrated.
        scores: their figures.
    """

    photos: Photos
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    scores: Scores

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the most probable class."""
        return self.probabilities.argmax(axis=1)

    @property
    def errors(self) -> list[int]:
        """The wrong answers, the most confident first."""
        order = np.argsort(-self.probabilities.max(axis=1), kind="stable")
        wrong = self.predicted != self.photos.labels
        return [int(index) for index in order if wrong[index]]

    @property
    def hits(self) -> list[int]:
        """The right answers, the least confident first."""
        order = np.argsort(self.probabilities.max(axis=1), kind="stable")
        right = self.predicted == self.photos.labels
        return [int(index) for index in order if right[index]]


@dataclass(frozen=True)
class Findings:
    """What is known of a run.

    Attributes:
        run: its folder.
        config: its settings; a network that was brought in has none.
        results: its figures; None if the network was brought in.
        history: its epochs.
        classifier: the network.
        names: what the page calls the classes.
        folder: classes and lists.
        record: what `split_data` noted, if it did.
        train: training photos; of very many, those that were drawn.
        held_out: `val` and `test`, those that there are.
        checked: what `check_labels` has found, if it has been run.
        other_lists: whether these are not the lists of the training; None: that is not known.
    """

    run: Path
    config: Config | None
    results: Results | None
    history: list[Epoch]
    classifier: Classifier
    names: tuple[str, ...]
    folder: DataFolder
    record: SplitRecord | None
    train: Photos
    held_out: Mapping[str, HeldOut]
    checked: Judgements | None
    other_lists: bool | None

    def held_out_labels(self) -> Judgements:
        """Compare labels with what the network says of the photos it did not learn from."""
        paths = [self.listed_as(path) for part in self.held_out.values() for path in part.photos.paths]
        if not paths:
            none = np.zeros(0, np.int64)
            return Judgements((), none, none, none.astype(float), none.astype(float))
        labels = np.concatenate([part.photos.labels for part in self.held_out.values()])
        return judge(paths, labels, np.concatenate([part.probabilities for part in self.held_out.values()]))

    def listed_as(self, path: Path) -> str:
        """Return the name of a photo from the folder of its lists."""
        return listed_as(path, self.folder.folder)

    def shown_as(self, path: Path) -> str:
        """Return the name of a photo for people: that below the source of the split, if it is known."""
        return (self.record and self.record.name_of(path)) or self.listed_as(path)

    def duplicates_on_both_sides(self) -> int:
        """Return how many groups of near-duplicates lie in more than one list."""
        if self.record is None:
            return 0
        home = {
            self.record.name_of(path): name
            for name, part in self.folder.lists().items()
            for path in part.paths
        }
        return sum(len({home[path] for path in group if path in home}) > 1
                   for group in self.record.near_duplicates)  # fmt: skip


def gather(run: Path, data: Path | str | None, language: str) -> Findings:
    """Read a run, judge its validation and test photos.

    Args:
        run: run folder.
        data: folder of the lists; None: the one the run was trained on.
        language: of the page.

    Raises:
        UserError: there is no finished run, or its photos are not where its lists say.
    """
    find_checkpoint(run)
    if not run.is_dir():
        raise UserError(f"{run}: is a file; the report needs the run folder")
    home = RunFolder(run)
    config, results, history = home.config(), home.results(), home.epochs()
    if results is None and (history or home.unfinished):
        raise UserError(
            f"{run}: the training is not finished ({len(history)} epochs are done); continue it "
            f"with: {command_line('train', '--resume', '--output', run)}"
        )
    classifier = load_classifier(run)
    folder = _lists(run, config, data, classifier.preprocessing.classes)
    contract = classifier.preprocessing
    held_out = {}
    for name, photo_list in folder.lists().items():
        if name == "train":
            continue
        asked, calibration = ask(classifier, run, photo_list), classifier.calibration
        scores = score_calibrated(asked.logits, asked.labels, contract, calibration)
        probabilities = calibration.probabilities(asked.logits)
        held_out[name] = HeldOut(asked.photos, asked.logits, probabilities, scores)
    return Findings(
        run=run,
        config=config,
        results=results,
        history=history,
        classifier=classifier,
        names=_names(contract, language),
        folder=folder,
        record=read_record(folder.folder),
        train=load_run_photos(run, contract, _drawn(folder.train)),
        held_out=held_out,
        checked=read_judgements(run, folder),
        other_lists=results.lists != folder.digest() if results and results.lists else None,
    )


def nearest(findings: Findings, images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the training photos that the network finds most alike. Shape: (M, S, S, 3) -> twice (M, K).

    Returns:
        Positions in `findings.train`, the nearest first, and the cosine distances between what the last layer
        sees of both (0: the same direction, 1: nothing in common).
    """
    known = _unit(features(findings.classifier, findings.train.images))
    distances = 1 - _unit(features(findings.classifier, images)) @ known.T
    order = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
    return order, np.take_along_axis(distances, order, axis=1)


def _names(contract: Preprocessing, language: str) -> tuple[str, ...]:
    """Return the display names; on an English page the class name, where only that is in English letters."""
    pairs = zip(contract.classes, contract.display_names, strict=True)
    english = language == "en"
    return tuple(
        name if english and name.isascii() and not shown.isascii() else shown for name, shown in pairs
    )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    return vectors / np.maximum(lengths, 1e-12)


def _lists(run: Path, config: Config | None, data: Path | str | None, classes: tuple[str, ...]) -> DataFolder:
    """Read the lists, and see that the photos are where they say."""
    if data is None and config is None:
        raise UserError(f"{run}: does not say which photos it was trained on; give --data")
    if data is None and config is not None and not Path(config.data, "train.txt").is_file():
        raise UserError(
            f"{run}: its photos were listed in {config.data}, and there is no train.txt; "
            "say with --data where the lists are"
        )
    folder = read_data_folder(data if data is not None else str(config and config.data))
    if folder.classes.names != classes:
        raise UserError(
            f"{folder.folder}: has the classes {', '.join(folder.classes.names)}, but the network was "
            f"trained on {', '.join(classes)}; give the folder of the lists it was trained on"
        )
    for photo_list in folder.lists().values():
        for index, path in enumerate(photo_list.paths):
            if not (path.exists() or path.parent.is_file()):  # a row of an array
                raise UserError(
                    f"{photo_list.where(index)}: {path} is not there; if the photos have moved, put them "
                    "back, or split them where they are and give that folder with --data"
                )
    return folder


def _drawn(photo_list: PhotoList) -> PhotoList:
    """Return a list, or of a very long one a part that is drawn at random."""
    if len(photo_list) <= NEIGHBOURS_AMONG:
        return photo_list
    chosen = np.sort(np.random.default_rng(0).permutation(len(photo_list))[:NEIGHBOURS_AMONG])
    return photo_list.part(chosen.tolist())
