"""A run folder: whether one may begin or continue, and what it holds at the end."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import paddle

from paddle_wrn import metrics, plots
from paddle_wrn._version import __version__
from paddle_wrn.checkpoint import write_atomically, write_text
from paddle_wrn.config import Config, differences, load_config
from paddle_wrn.console import log
from paddle_wrn.data import Photos
from paddle_wrn.device import Device
from paddle_wrn.errors import UserError
from paddle_wrn.inference import Classifier, load_classifier
from paddle_wrn.models.summary import Summary
from paddle_wrn.preprocessing import Preprocessing
from paddle_wrn.state import TrainingState

CONFIG = "config.yaml"


def stored_config(run: Path) -> Config | None:
    """Return the configuration a run folder was trained with, or None if it has saved none yet."""
    return load_config(run / CONFIG) if (run / CONFIG).is_file() else None


def check_run_folder(run: Path, config: Config, resume: bool) -> None:
    """Refuse to train into what is there, unless it is the same run and is to be continued.

    Raises:
        UserError: the folder holds something else, a run that is not to be resumed, or one with another
            configuration.
    """
    if run.exists() and not run.is_dir():
        raise UserError(f"{run}: is a file; --output must name a folder")
    # Hidden files do not count: a kill in the very first moment leaves the beginnings of config.yaml.
    if not run.exists() or all(path.name.startswith(".") for path in run.iterdir()):
        return
    stored = stored_config(run)
    if stored is None:
        raise UserError(f"{run}: holds other files; --output must name a new folder or a run")
    if not resume:
        raise UserError(f"{run}: holds a run already; add --resume to continue it, or give another --output")
    changed = differences(stored, config.model_copy(update={"device": stored.device}))
    if changed:
        raise UserError(
            f"{run}: was trained with another configuration ({'; '.join(changed)}); "
            "resume with the same settings, or give another --output"
        )


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
    val: Photos | None,
    test: Photos | None,
    device: Device,
    summary: Summary,
) -> dict[str, Any]:
    """Score the kept weights once on the test photos and write figures and pictures of the whole run.

    Returns:
        What `metrics.json` holds.
    """
    best = load_classifier(run)
    write_atomically(run / "model.pdparams", lambda file: paddle.save(best.model.state_dict(), str(file)))
    scores = {
        name: _score(best, photos) for name, photos in (("val", val), ("test", test)) if photos is not None
    }
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
    }
    write_text(run / "metrics.json", json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    plots.save(plots.curves(history, state.progress.best_epoch), run / "curves.png")
    log.info("kept      epoch %d of %d", results["kept_epoch"], results["epochs"])
    for name, scored in scores.items():
        log.info("%-9s accuracy %s", name, metrics.describe(scored))
    if test is not None:
        draw_confusion(run / "confusion_matrix.png", scores["test"], best.preprocessing, "test photos")
    log.info("results   %s: metrics.json, curves.png%s, checkpoints/best.safetensors, model.pdparams",
             run, "" if test is None else ", confusion_matrix.png")  # fmt: skip
    log.info("next      python -m paddle_wrn.predict %s PHOTO", run)
    return results


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


def _score(classifier: Classifier, photos: Photos) -> dict[str, Any]:
    return metrics.score(classifier.logits(photos.images), photos.labels, classifier.preprocessing)
