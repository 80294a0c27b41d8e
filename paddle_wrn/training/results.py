"""The end of a training: calibrate the kept weights, score the test photos once, write the results."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from paddle_wrn.answering.calibration import (
    describe_calibration,
    fit,
    score_calibrated,
)
from paddle_wrn.answering.classifier import Classifier, load_classifier, store_calibration
from paddle_wrn.answering.pictures import draw_confusion, draw_precision_recall, draw_reliability
from paddle_wrn.drawing import plots
from paddle_wrn.models.summary import Summary
from paddle_wrn.photos.loading import Photos
from paddle_wrn.runs.history import History
from paddle_wrn.runs.run_folder import CONFUSION, METRICS, PRECISION_RECALL, PREDICTIONS, RELIABILITY
from paddle_wrn.scoring import metrics
from paddle_wrn.system.console import command_line, log
from paddle_wrn.system.device import Device
from paddle_wrn.system.files import write_atomically, write_text
from paddle_wrn.system.versions import versions
from paddle_wrn.training.state import TrainingState


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
        draw_precision_recall(run / PRECISION_RECALL, logits["test"], lists["test"].labels, best)
        write_text(run / PREDICTIONS, _predictions(lists["test"], logits["test"], best, state.config.data))
    for name in (CONFUSION, PRECISION_RECALL, RELIABILITY):  # which VisualDL cannot draw, or no longer can
        if (run / name).is_file():
            history.add_picture(run / name, state.progress.best_epoch)
    # Last, since it says that the run is finished.
    write_text(run / METRICS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    files = [METRICS, "curves.png", *([RELIABILITY] if "val" in scores else [])]
    files += [CONFUSION, PRECISION_RECALL, PREDICTIONS] if "test" in scores else []
    log.info("results   %s: %s, checkpoints/best.safetensors, model.pdparams", run, ", ".join(files))
    log.info("next      %s", command_line("predict", run, "PHOTO"))
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
