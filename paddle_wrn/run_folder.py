"""A run folder: whether one may begin or continue, and what it holds at the end."""

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from paddle_wrn import metrics, plots
from paddle_wrn._version import __version__
from paddle_wrn.config import Config, differences, load_config
from paddle_wrn.console import log
from paddle_wrn.data import Photos
from paddle_wrn.device import Device
from paddle_wrn.errors import UserError
from paddle_wrn.files import write_atomically, write_text
from paddle_wrn.inference import load_classifier
from paddle_wrn.models.summary import Summary
from paddle_wrn.preprocessing import Preprocessing
from paddle_wrn.state import TrainingState

CONFIG = "config.yaml"
METRICS = "metrics.json"
PREDICTIONS = "test_predictions.csv"


def stored_config(run: Path) -> Config | None:
    """Return the configuration a run folder was trained with, or None if it has saved none yet."""
    return load_config(run / CONFIG) if (run / CONFIG).is_file() else None


def check_run_folder(run: Path, config: Config, *, resume: bool, again: bool = False) -> None:
    """Refuse to train into what is there, unless it is the same run and finished or to be continued.

    Args:
        run: the folder.
        config: what is to be trained.
        resume: an unfinished run is to be continued.
        again: a run that is there is to be moved aside.

    Raises:
        UserError: the folder holds something else, an unfinished run that is not to be resumed, or one with
            another configuration.
    """
    if run.exists() and not run.is_dir():
        raise UserError(f"{run}: is a file; --output must name a folder")
    # Hidden files do not count: a kill in the very first moment leaves the beginnings of config.yaml.
    if not run.exists() or all(path.name.startswith(".") for path in run.iterdir()):
        return
    if not (run / CONFIG).is_file():
        raise UserError(f"{run}: holds other files; --output must name a new folder or a run")
    if again:
        if Path.cwd().is_relative_to(run.resolve()):
            raise UserError(f"{run}: cannot be moved aside while you are in it; go to another folder first")
        return
    stored = load_config(run / CONFIG)
    if not resume and not (run / METRICS).is_file():
        raise UserError(f"{run}: holds a run already; add --resume to continue it, or give another --output")
    changed = differences(stored, config.model_copy(update={"device": stored.device}))
    if changed:
        raise UserError(
            f"{run}: was trained with another configuration ({'; '.join(changed)}); "
            "resume with the same settings, train anew with --again, or give another --output"
        )


def finished_results(run: Path, data_digest: str) -> dict[str, Any] | None:
    """Return what `metrics.json` of a finished run holds, or None if the run is not finished.

    Raises:
        UserError: it was trained on other lists than those with this digest.
    """
    try:
        results: dict[str, Any] = json.loads((run / METRICS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if "lists" not in results:
        return None
    if results["lists"] != data_digest:
        raise UserError(
            f"{run}: the lists have changed since this run began; start a new one in another --output "
            "folder, or here with --again"
        )
    return results


def place_aside(run: Path) -> Path:
    """Return where a run may be moved to: `<run>-before-1`, or the next number that is free."""
    number = 1
    while (aside := run.with_name(f"{run.name}-before-{number}")).exists():
        number += 1
    return aside


def create_run_folder(run: Path, config: Config, preprocessing: Preprocessing) -> None:
    """Make the folder with configuration, classes and preprocessing contract."""
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / CONFIG, config.to_yaml())  # first: it makes the folder a run
    (run / "checkpoints").mkdir(exist_ok=True)
    names = zip(preprocessing.classes, preprocessing.display_names, strict=True)
    lines = (name if name == display else f"{name}\t{display}" for name, display in names)
    write_text(run / "classes.txt", "".join(f"{line}\n" for line in lines))
    write_text(run / "preprocessing.json", preprocessing.model_dump_json(indent=2) + "\n")


def write_results(
    run: Path,
    state: TrainingState,
    history: Sequence[Mapping[str, Any]],
    lists: Mapping[str, Photos],
    data_digest: str,
    device: Device,
    summary: Summary,
) -> dict[str, Any]:
    """Score the kept weights once on the test photos and write figures and pictures of the whole run.

    Returns:
        What `metrics.json` holds.
    """
    best = load_classifier(run)
    write_atomically(run / "model.pdparams", lambda file: paddle.save(best.model.state_dict(), str(file)))
    logits = {name: best.logits(lists[name].images) for name in ("val", "test") if name in lists}
    scores = {name: metrics.score(logits[name], lists[name].labels, best.preprocessing) for name in logits}
    results = scores | {
        "kept_epoch": state.progress.best_epoch,
        "epochs": state.config.epochs,
        "seconds": state.progress.seconds,
        "images_per_second": median(epoch["images_per_second"] for epoch in history),
        "parameters": summary.parameters,
        "multiply_adds": summary.multiply_adds,
        "seed": state.config.seed,
        "device": device.name,
        "versions": versions(),
        "lists": data_digest,
    }
    plots.save(plots.curves(history, state.progress.best_epoch), run / "curves.png")
    log.info("kept      epoch %d of %d", results["kept_epoch"], results["epochs"])
    for name, scored in scores.items():
        log.info("%-9s accuracy %s", name, metrics.describe(scored))
    if "test" in scores:
        draw_confusion(run / "confusion_matrix.png", scores["test"], best.preprocessing, "test photos")
        folder, classes = Path(state.config.data), best.preprocessing.classes
        write_text(run / PREDICTIONS, _predictions(lists["test"], logits["test"], classes, folder))
    # Last, since it says that the run is finished.
    write_text(run / METRICS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    log.info("results   %s: metrics.json, curves.png%s, checkpoints/best.safetensors, model.pdparams",
             run, ", confusion_matrix.png, test_predictions.csv" if "test" in scores else "")  # fmt: skip
    log.info("next      python -m paddle_wrn.predict %s PHOTO", run)
    return results


def _predictions(photos: Photos, logits: NDArray[np.float32], classes: Sequence[str], folder: Path) -> str:
    """Return CSV, a row a photo; paths that begin with the folder of the lists are given from there."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "class", "predicted", "probability"))
    start = folder.absolute()
    probabilities = metrics.softmax(logits)
    for path, label, row in zip(photos.paths, photos.labels, probabilities, strict=True):
        absolute = path.absolute()
        shown = absolute.relative_to(start) if absolute.is_relative_to(start) else path
        table.writerow((shown.as_posix(), classes[label], classes[row.argmax()], f"{row.max():.6f}"))
    return text.getvalue()


def read_predictions(run: Path) -> list[dict[str, str]]:
    """Return the rows of a run's `test_predictions.csv`: path, class, predicted, probability.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    file = run / PREDICTIONS
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; train the run again with --again") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: not a CSV file ({error}); train the run again with --again") from None
    if any(
        None in row or None in row.values() or not {"path", "class", "predicted"} <= row.keys()
        for row in rows
    ):
        raise UserError(f"{file}: not what training wrote; train the run again with --again")
    return rows


def draw_confusion(file: Path, scores: Mapping[str, Any], preprocessing: Preprocessing, what: str) -> None:
    """Draw the confusion matrix of a `metrics.score`."""
    names = plots.labels_for(preprocessing.classes, preprocessing.display_names)
    title = f"{what}: {scores['correct']} of {scores['images']} right"
    plots.save(plots.confusion(scores["confusion"], names, title), file)


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    libraries = ("numpy", "pillow")
    return {
        "paddle_wrn": __version__,
        "paddle": paddle.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }
