"""Which labels a network contradicts: the rule, and the file that holds what `check_labels` has found."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import DataFolder
from paddle_wrn.system.files import write_text

LABEL_CHECK = "label_check.csv"  # in the run folder
_COLUMNS = ("path", "class", "predicted", "probability", "class_probability")


@dataclass(frozen=True)
class Judgements:
    """What networks say of photos that they did not learn from.

    Attributes:
        paths: N names of photos, as `listed_as` gives them.
        labels: (N,) what the lists say.
        predicted: (N,) what the network says.
        probability: (N,) of what the network says.
        label_probability: (N,) of what the list says.
    """

    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float64]
    label_probability: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.paths)

    def suspicious(self) -> list[int]:
        """Return the photos whose label is contradicted with confidence, the clearest first.

        A photo is one of them if the network gives another class at least the probability which it gives that
        class, on average, for the photos that are labelled so. A cautious network thus needs less than a bold
        one, and no threshold has to be set (C. Northcutt, L. Jiang, I. Chuang, Confident Learning, JAIR 70,
        2021, section 3.1).
        """
        classes = 1 + max(self.labels.max(initial=0), self.predicted.max(initial=0))
        counts = np.bincount(self.labels, minlength=classes)
        sums = np.bincount(self.labels, self.label_probability, minlength=classes)
        usual = np.where(counts, sums / np.maximum(counts, 1), np.inf)  # no photos: nothing to go by
        found = (self.predicted != self.labels) & (self.probability >= usual[self.predicted])
        return [index for index in self.contradicted() if found[index]]

    def contradicted(self) -> list[int]:
        """Return all photos, those first whose label is contradicted most."""
        order: list[int] = np.argsort(self.label_probability - self.probability, kind="stable").tolist()
        return order


def judge(paths: Sequence[str], labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Judgements:
    """Compare labels with probabilities. Shape: N names, (N,), (N, C)."""
    rows = np.arange(len(labels))
    predicted = probabilities.argmax(axis=1)
    return Judgements(
        tuple(paths), labels, predicted, probabilities[rows, predicted], probabilities[rows, labels]
    )


def listed_as(path: Path, folder: Path) -> str:
    """Return the name of a photo from the folder of its lists, which stays the same when both are moved."""
    absolute, start = path.absolute(), folder.absolute()
    return (absolute.relative_to(start) if absolute.is_relative_to(start) else path).as_posix()


def write_judgements(run: Path, judged: Judgements, classes: Sequence[str]) -> Path:
    """Write one line a photo, those with suspicious labels first, then those that are contradicted more."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*_COLUMNS, "suspicious"))
    suspicious = judged.suspicious()
    first = set(suspicious)
    for index in [*suspicious, *(index for index in judged.contradicted() if index not in first)]:
        table.writerow(
            (
                judged.paths[index],
                classes[judged.labels[index]],
                classes[judged.predicted[index]],
                f"{judged.probability[index]:.6f}",
                f"{judged.label_probability[index]:.6f}",
                "yes" if index in first else "",
            )
        )
    write_text(run / LABEL_CHECK, text.getvalue())
    return run / LABEL_CHECK


def read_judgements(run: Path, folder: DataFolder) -> Judgements | None:
    """Return what `check_labels` has found in a run, or None if it has not been run.

    Photos that the lists do not name any more, or that have got another label since, are left out.

    Raises:
        UserError: the file is damaged or holds something else.
    """
    file = run / LABEL_CHECK
    if not file.is_file():
        return None
    positions = {name: label for label, name in enumerate(folder.classes.names)}
    labels = {
        listed_as(path, folder.folder): int(label)
        for part in folder.lists().values()
        for path, label in zip(part.paths, part.labels, strict=True)
    }
    rows = []
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines)
            if not set(_COLUMNS) <= set(table.fieldnames or ()):
                raise ValueError
            for row in table:
                path, name, predicted, *shares = (row[column] for column in _COLUMNS)
                probability, label_probability = map(float, shares)
                if not (0 <= probability <= 1 and 0 <= label_probability <= 1):
                    raise ValueError
                label, said = positions[name], positions[predicted]
                if labels.get(path) == label:
                    rows.append((path, label, said, probability, label_probability))
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError):
        raise UserError(
            f"{file}: not what check_labels wrote for these classes; remove the file or check again"
        ) from None
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    return Judgements(
        tuple(map(str, columns[0])),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.int64),
        np.array(columns[3], np.float64),
        np.array(columns[4], np.float64),
    )
