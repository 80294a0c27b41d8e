"""A run folder: whether one may begin or continue, and what it holds at the end."""

import csv
import io
import json
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from paddle_wrn import metrics, plots
from paddle_wrn._version import __version__
from paddle_wrn.calibration import Calibration, describe_calibration, fit, reliability, score_calibrated
from paddle_wrn.config import Config, differences, load_config
from paddle_wrn.console import log
from paddle_wrn.data import Photos
from paddle_wrn.device import Device
from paddle_wrn.errors import UserError
from paddle_wrn.files import write_atomically, write_text
from paddle_wrn.history import History
from paddle_wrn.inference import Classifier, load_classifier, store_calibration
from paddle_wrn.models.summary import Summary
from paddle_wrn.preprocessing import Preprocessing
from paddle_wrn.state import TrainingState

CONFIG = "config.yaml"
METRICS = "metrics.json"
PREDICTIONS = "test_predictions.csv"
RELIABILITY = "reliability.png"
CONFUSION = "confusion_matrix.png"
PRECISION_RECALL = "precision_recall.png"


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
    history: History,
    lists: Mapping[str, Photos],
    data_digest: str,
    device: Device,
    summary: Summary,
) -> dict[str, Any]:
    """Calibrate the kept weights, score them once on the test photos, write figures and pictures of the run.

    Returns:
        What `metrics.json` holds.
    """
    best = load_classifier(run)
    write_atomically(run / "model.pdparams", lambda file: paddle.save(best.model.state_dict(), str(file)))
    logits = {name: best.logits(lists[name].images) for name in ("val", "test") if name in lists}
    if "val" in lists:  # what was wished before stays, if the run ends a second time
        calibration = fit(logits["val"], lists["val"].labels, best.calibration.wished_error)
        store_calibration(run, calibration)
        best = replace(best, calibration=calibration)
        draw_reliability(run / RELIABILITY, logits["val"], lists["val"].labels, calibration, "validation")
    scores = {
        name: score_calibrated(logits[name], lists[name].labels, best.preprocessing, best.calibration)
        for name in logits
    }
    results = scores | {
        "kept_epoch": state.progress.best_epoch,
        "epochs": state.config.epochs,
        "seconds": state.progress.seconds,
        "images_per_second": median(epoch["images_per_second"] for epoch in history.epochs),
        "parameters": summary.parameters,
        "multiply_adds": summary.multiply_adds,
        "seed": state.config.seed,
        "device": device.name,
        "versions": versions(),
        "lists": data_digest,
    }
    plots.save(plots.curves(history.epochs, state.progress.best_epoch), run / "curves.png")
    log.info("kept      epoch %d of %d", results["kept_epoch"], results["epochs"])
    log.info("trust     %s", best.calibration)
    for name, scored in scores.items():
        log.info("%-9s accuracy %s", name, metrics.describe(scored))
        for line in describe_calibration(scored) if best.calibration.photos else ():
            log.info("          %s", line)
    if "test" in scores:
        draw_confusion(run / CONFUSION, scores["test"], best.preprocessing, "test photos")
        _draw_precision_recall(run / PRECISION_RECALL, logits["test"], lists["test"].labels, best)
        write_text(run / PREDICTIONS, _predictions(lists["test"], logits["test"], best, state.config.data))
    for name in (CONFUSION, PRECISION_RECALL, RELIABILITY):  # which VisualDL cannot draw, or no longer can
        if (run / name).is_file():
            history.add_picture(run / name, state.progress.best_epoch)
    # Last, since it says that the run is finished.
    write_text(run / METRICS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    files = [METRICS, "curves.png", *([RELIABILITY] if "val" in scores else [])]
    files += [CONFUSION, PRECISION_RECALL, PREDICTIONS] if "test" in scores else []
    log.info("results   %s: %s, checkpoints/best.safetensors, model.pdparams", run, ", ".join(files))
    log.info("next      python -m paddle_wrn.predict %s PHOTO", run)
    return results


def _predictions(photos: Photos, logits: NDArray[np.float32], classifier: Classifier, folder: str) -> str:
    """Return CSV, a row a photo; paths that begin with the folder of the lists are given from there."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "class", "predicted", "probability", "sure"))
    start, classes = Path(folder).absolute(), classifier.preprocessing.classes
    probabilities = classifier.calibration.probabilities(logits)
    sures = classifier.calibration.sure(probabilities)
    for path, label, row, sure in zip(photos.paths, photos.labels, probabilities, sures, strict=True):
        absolute = path.absolute()
        shown = absolute.relative_to(start) if absolute.is_relative_to(start) else path
        answer = (classes[row.argmax()], f"{row.max():.6f}", "yes" if sure else "no")
        table.writerow((shown.as_posix(), classes[label], *answer))
    return text.getvalue()


def read_predictions(run: Path) -> list[dict[str, str]]:
    """Return the rows of a run's `test_predictions.csv`: path, class, predicted, probability, sure.

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


def draw_reliability(
    file: Path, logits: NDArray[np.float32], labels: NDArray[np.int64], calibration: Calibration, split: str
) -> None:
    """Draw how often probabilities are right, with the calibration and without."""
    before = reliability(metrics.softmax(logits), labels)
    after = reliability(calibration.probabilities(logits), labels) if calibration.photos else None
    title = f"{len(labels)} {split} photos"
    plots.save(plots.reliability_diagram(before, after, title, calibration.threshold), file)


def _draw_precision_recall(
    file: Path, logits: NDArray[np.float32], labels: NDArray[np.int64], classifier: Classifier
) -> None:
    curves = metrics.precision_recall(classifier.calibration.probabilities(logits), labels)
    contract = classifier.preprocessing
    names = plots.labels_for(contract.classes, contract.display_names)
    plots.save(plots.precision_recall(curves, names, f"{len(labels)} test photos"), file)


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    libraries = ("numpy", "pillow")
    return {
        "paddle_wrn": __version__,
        "paddle": paddle.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }
