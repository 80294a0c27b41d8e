"""Score a trained network on one of the lists of its data folder, or on any other list."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from paddle_wrn import metrics, plots, sheets
from paddle_wrn.calibration import describe_calibration, score_calibrated
from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.data import Photos, load_photos
from paddle_wrn.device import select_device
from paddle_wrn.errors import UserError
from paddle_wrn.files import write_text
from paddle_wrn.inference import Classifier, load_classifier
from paddle_wrn.lists import PhotoList, read_classes, read_data_folder, read_list
from paddle_wrn.preprocessing import Preprocessing
from paddle_wrn.run_folder import draw_confusion, draw_reliability, stored_config

SHEET_PHOTOS = 24  # in the picture of errors and doubtful answers


def evaluate(
    run: Path | str,
    *,
    data: Path | str | None = None,
    split: str = "test",
    list_file: Path | str | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Score the kept weights of a run, and write the figures into its `evaluation` folder.

    Args:
        run: run folder, or a `best.safetensors` file (then nothing is written).
        data: folder that `split_data` wrote; by default the one the run was trained on.
        split: `train`, `val` or `test`.
        list_file: a list to score instead of one of the data folder.
        device: `auto`, `cpu`, `gpu` or `gpu:N`.

    Returns:
        The figures, as `calibration.score_calibrated` gives them.

    Raises:
        UserError: no such run or list, or classes that are not the run's.
    """
    run = Path(run)
    select_device(device)
    classifier = load_classifier(run)
    photo_list = list_to_score(run, classifier.preprocessing, data, split, list_file)
    contract = classifier.preprocessing
    photos = load_photos(photo_list, contract.size, draft=contract.draft)
    with tqdm(total=len(photos), unit="photo", leave=False, disable=not sys.stderr.isatty()) as bar:
        logits = classifier.logits(photos.images, bar.update)
    scores = score_calibrated(logits, photos.labels, contract, classifier.calibration)
    if run.is_dir():
        folder = run / "evaluation"
        folder.mkdir(exist_ok=True)
        name = photo_list.file.stem
        write_text(folder / f"{name}.json", json.dumps(scores, indent=2, ensure_ascii=False) + "\n")
        draw_confusion(folder / f"{name}_confusion.png", scores, contract, f"{name} photos")
        picture = folder / f"{name}_reliability.png"
        draw_reliability(picture, logits, photos.labels, classifier.calibration, name)
        _draw_photos(folder / f"{name}_photos.png", photos, logits, classifier)
    return scores


def _draw_photos(file: Path, photos: Photos, logits: NDArray[np.float32], classifier: Classifier) -> None:
    """Draw the most confident errors, then the least confident right answers."""
    contract = classifier.preprocessing
    names = plots.labels_for(contract.classes, contract.display_names)
    probabilities = classifier.calibration.probabilities(logits)
    sure = classifier.calibration.sure(probabilities)
    predicted = logits.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = predicted != photos.labels
    order = np.argsort(np.where(wrong, -1 - confidence, confidence), kind="stable")[:SHEET_PHOTOS]
    captions = []
    for i in order:
        lines = [f"{names[predicted[i]]} {confidence[i]:.0%}"]
        lines += [f"is {names[photos.labels[i]]}"] if wrong[i] else []
        lines += [] if sure[i] else ["not sure"]
        captions.append("\n".join(lines))
    plots.save(sheets.photo_sheet(photos.images[order], captions, wrong[order].tolist()), file)


def list_to_score(
    run: Path,
    preprocessing: Preprocessing,
    data: Path | str | None,
    split: str,
    list_file: Path | str | None = None,
) -> PhotoList:
    """Return the list of photos that is asked for, see `evaluate`.

    Raises:
        UserError: there is none, or it has other classes than the network.
    """
    if list_file is not None:
        beside = Path(list_file).parent / "classes.txt"
        if beside.is_file():
            _refuse_other_classes(read_classes(beside).names, preprocessing, beside)
        photo_list = read_list(list_file, len(preprocessing.classes))
        if len(photo_list) == 0:
            raise UserError(f"{list_file}: the list is empty; it needs at least one `path label` line")
        return photo_list
    if split not in ("train", "val", "test"):
        raise UserError(f"split: found {split!r}; choose train, val or test")
    if data is None:
        config = stored_config(run) if run.is_dir() else None
        if config is None:
            raise UserError(f"{run}: does not say which photos it was trained on; give --data or --list")
        data = config.data
    folder = read_data_folder(data)
    _refuse_other_classes(folder.classes.names, preprocessing, folder.folder)
    return folder.split(split)


def _refuse_other_classes(found: Sequence[str], preprocessing: Preprocessing, where: Path) -> None:
    if tuple(found) != preprocessing.classes:
        raise UserError(
            f"{where}: has the classes {', '.join(found)}, but the network was trained on "
            f"{', '.join(preprocessing.classes)}; give lists with the same classes in the same order"
        )


def scores_table(scores: Mapping[str, Any]) -> str:
    """Return accuracy, top-k, how honest the probabilities are, and the figures per class as text."""
    lines = [f"accuracy {metrics.describe(scores)}"]
    lines += [f"top-{k} accuracy {share:.3f}" for k, share in scores["top_k"].items()]
    lines += describe_calibration(scores)
    lines.append(f"{'images':>8} {'precision':>10} {'recall':>8} {'F1':>8}  class")
    for row in scores["per_class"]:
        name = (
            row["class"] if row["display_name"] == row["class"] else f"{row['class']} ({row['display_name']})"
        )
        lines.append(
            f"{row['images']:8} {row['precision']:10.3f} {row['recall']:8.3f} {row['f1']:8.3f}  {name}"
        )
    return "\n".join(lines)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("evaluate", __doc__)
    options.add_argument("run", type=Path, help="run folder (or its checkpoints/best.safetensors)")
    options.add_argument("--data", type=Path, help="folder that split_data wrote (default: the run's own)")
    options.add_argument("--split", default="test", help="train, val or test (default: test)")
    options.add_argument("--list", dest="list_file", type=Path, help="score this list instead")
    options.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    add_network_option(options)
    given = options.parse_args(argv)
    scores = evaluate(
        given.run, data=given.data, split=given.split, list_file=given.list_file, device=given.device
    )
    print(scores_table(scores))
    if given.run.is_dir():
        print(f"written to {given.run / 'evaluation'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
