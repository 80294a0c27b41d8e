"""Checking labels: four networks are trained, each without a quarter of the photos, which it then judges.

A network believes the labels it has learned, so it says little about its own training photos. Near-duplicates
stay in one quarter, or a copy with the same wrong label would defend it.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.answering.classifier import find_checkpoint, load_classifier
from paddle_wrn.answering.run_photos import ask
from paddle_wrn.config import Config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import DataFolder, read_data_folder, read_list
from paddle_wrn.photos.splitting.record import duplicate_numbers
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.scoring.metrics import softmax
from paddle_wrn.studies.judgements import Judgements, judge, listed_as, write_judgements
from paddle_wrn.system.console import log, log_on_screen
from paddle_wrn.system.files import write_text
from paddle_wrn.training.processes import refuse_launcher
from paddle_wrn.training.session import train

FOLDS = 4


@log_on_screen()
def check_labels(run: Path | str, *, data: Path | str | None = None) -> Judgements:
    """Judge every photo of the lists by a network that did not learn from it.

    Args:
        run: run folder; its settings are used, and `label_check.csv` is written into it.
        data: folder of the lists; by default the one the run was trained on.

    Returns:
        What was found, in the order of the lists.

    Raises:
        UserError: no such run or lists, or too few photos of a class.
    """
    refuse_launcher("check_labels")
    run = Path(run)
    find_checkpoint(run)
    config = RunFolder(run).config()
    if config is None:
        raise UserError(f"{run}: does not say how it was trained; a run folder with a config.yaml is needed")
    folder = read_data_folder(config.data if data is None else data)
    lists = folder.lists().values()
    paths = [path.absolute() for part in lists for path in part.paths]
    labels = np.concatenate([part.labels for part in lists])
    folds = _folds(folder, paths, labels)
    place = run / "label_check"
    log.info("%s", _cost(run, config, len(folder.train), len(labels)))
    probabilities = np.empty((len(labels), len(folder.classes.names)))
    for number, held_out in enumerate(folds, start=1):
        log.info("%d of %d: without %d of %d photos", number, FOLDS, len(held_out), len(labels))
        home = place / f"fold-{number}"
        _write_lists(home / "lists", folder, paths, labels, held_out)
        train(config, data=home / "lists", output=home / "run", resume=True)
        probabilities[held_out] = _judged(home)
    judged = judge([listed_as(path, folder.folder) for path in paths], labels, probabilities)
    write_judgements(run, judged, folder.classes.names)
    shutil.rmtree(place)
    return judged


def _folds(folder: DataFolder, paths: Sequence[Path], labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the photos of each fold: every class in every fold, near-duplicates together."""
    from sklearn.model_selection import StratifiedGroupKFold

    counts = np.bincount(labels)
    if counts.min() < FOLDS:
        few = int(counts.argmin())
        raise UserError(
            f"{folder.folder}: class {folder.classes.names[few]!r} has {counts[few]} photos; "
            f"checking labels needs at least {FOLDS} of each class"
        )
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    folds = [
        held_out for _, held_out in splitter.split(labels, labels, duplicate_numbers(folder.folder, paths))
    ]
    for held_out in folds:
        alone = sorted(set(range(len(counts))) - set(np.delete(labels, held_out).tolist()))
        if alone:
            name = folder.classes.names[alone[0]]
            raise UserError(
                f"{folder.folder}: the photos of class {name!r} are all near-duplicates; "
                "checking labels needs different ones"
            )
    return folds


def _cost(run: Path, config: Config, trained_on: int, photos: int) -> str:
    """Say what it will take, going by the run's own time."""
    time = ""
    try:
        results = RunFolder(run).results()
    except UserError:  # damaged; that is no obstacle here
        results = None
    if results is not None:
        minutes = results.seconds * FOLDS * photos * (FOLDS - 1) / FOLDS / trained_on / 60
        time = f", about {minutes:.0f} minutes on the machine the run was trained on"
    return f"{FOLDS} trainings of {config.epochs} epochs on three quarters of the photos{time}"


def _write_lists(
    place: Path,
    folder: DataFolder,
    paths: Sequence[Path],
    labels: NDArray[np.int64],
    held_out: NDArray[np.int64],
) -> None:
    place.mkdir(parents=True, exist_ok=True)
    names = zip(folder.classes.names, folder.classes.display_names, strict=True)
    write_text(place / "classes.txt", "".join(f"{name}\t{shown}\n" for name, shown in names))
    without = np.setdiff1d(np.arange(len(labels)), held_out)
    for name, chosen in (("train", without), ("test", held_out)):
        write_text(place / f"{name}.txt", "".join(f"{paths[i]} {labels[i]}\n" for i in chosen))


def _judged(home: Path) -> NDArray[np.float64]:
    """Return what the network of a fold says of the photos it has not seen. Shape: -> (N, C)."""
    classifier = load_classifier(home / "run")
    photo_list = read_list(home / "lists" / "test.txt")
    return softmax(ask(classifier, home / "run", photo_list).logits)
