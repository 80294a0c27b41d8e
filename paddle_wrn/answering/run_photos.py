"""The photos a run is asked about: which list, and decoded as its network sees them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddle_wrn.answering.classifier import Classifier
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import PhotoList, read_classes, read_data_folder, read_list
from paddle_wrn.photos.loading import MEMORY_MB, Photos, load_for
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.run_folder import RunFolder


@dataclass(frozen=True)
class AskedPhotos:
    """The photos of a list, and what a network says of them.

    Attributes:
        photos: N decoded photos.
        logits: (N, C).
    """

    photos: Photos
    logits: NDArray[np.float32]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) what the list says."""
        return self.photos.labels


def find_list(
    run: Path,
    contract: Preprocessing,
    data: Path | str | None,
    split: str,
    list_file: Path | str | None = None,
) -> PhotoList:
    """Return the list of photos that is asked for.

    Args:
        run: run folder, or the file of a network.
        contract: of the network.
        data: folder that `split_data` wrote; None: the one the run was trained on.
        split: `train`, `val` or `test`.
        list_file: a list instead of one of the data folder.

    Raises:
        UserError: there is none, or it has other classes than the network.
    """
    if list_file is not None:
        beside = Path(list_file).parent / "classes.txt"
        if beside.is_file():
            _refuse_other_classes(read_classes(beside).names, contract, beside)
        photo_list = read_list(list_file, len(contract.classes))
        if len(photo_list) == 0:
            raise UserError(f"{list_file}: the list is empty; it needs at least one `path label` line")
        return photo_list
    if split not in ("train", "val", "test"):
        raise UserError(f"split: found {split!r}; choose train, val or test")
    if data is None:
        config = RunFolder(run).config()
        if config is None:
            raise UserError(f"{run}: does not say which photos it was trained on; give --data or --list")
        data = config.data
    folder = read_data_folder(data)
    _refuse_other_classes(folder.classes.names, contract, folder.folder)
    return folder.split(split)


def load_run_photos(run: Path, contract: Preprocessing, photo_list: PhotoList) -> Photos:
    """Decode the photos of a list as a network sees them, in as much memory as its run's settings allow.

    Args:
        run: run folder, or the file of a network, which has no such setting.
        contract: of the network.
        photo_list: which photos.

    Raises:
        UserError: a photo is missing or broken; list, line and file are named.
    """
    config = RunFolder(run).config()
    return load_for(contract, photo_list, MEMORY_MB if config is None else config.input.memory_mb)


def ask(classifier: Classifier, run: Path, photo_list: PhotoList) -> AskedPhotos:
    """Show a network the photos of a list, with a progress bar on a terminal.

    Args:
        classifier: the network.
        run: as of `load_run_photos`.
        photo_list: which photos.

    Raises:
        UserError: a photo is missing or broken; list, line and file are named.
    """
    photos = load_run_photos(run, classifier.preprocessing, photo_list)
    with tqdm(total=len(photos), unit="photo", leave=False, disable=not sys.stderr.isatty()) as bar:
        return AskedPhotos(photos, classifier.logits(photos.images, bar.update))


def _refuse_other_classes(found: Sequence[str], contract: Preprocessing, where: Path) -> None:
    if tuple(found) != contract.classes:
        raise UserError(
            f"{where}: has the classes {', '.join(found)}, but the network was trained on "
            f"{', '.join(contract.classes)}; give lists with the same classes in the same order"
        )
