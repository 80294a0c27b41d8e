"""The end of a training: calibrate the kept weights, score the test photos once, write the results."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import paddle
from numpy.typing import NDArray

from paddle_wrn.answering.calibration import describe_calibration, fit
from paddle_wrn.answering.classifier import Classifier, store_calibration
from paddle_wrn.answering.pictures import draw_confusion
from paddle_wrn.answering.run_files import draw_probabilities, score_lists, write_answers
from paddle_wrn.drawing import plots
from paddle_wrn.models.summary import Summary
from paddle_wrn.runs.epochs import points
from paddle_wrn.runs.results import Results
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.console import command_line, log
from paddle_wrn.system.files import write_atomically, write_text
from paddle_wrn.system.versions import versions
from paddle_wrn.training.recording import RunRecorder
from paddle_wrn.training.setup import Setup
from paddle_wrn.training.state import TrainingState


@dataclass(frozen=True)
class Kept:
    """The network that a training has kept.

    Attributes:
        classifier: the network.
        logits: `val` and `test`, as far as there are such lists -> (N, C), what it says of their photos.
    """

    classifier: Classifier
    logits: Mapping[str, NDArray[np.float32]]


def write_results(
    setup: Setup, state: TrainingState, recorder: RunRecorder, summary: Summary, kept: Kept
) -> Results:
    """Calibrate the kept weights, score them once on the test photos, write figures and pictures."""
    run, photos, best, logits = setup.run, setup.lists, kept.classifier, kept.logits
    write_atomically(
        run.path / "model.pdparams", lambda file: paddle.save(best.model.state_dict(), str(file))
    )
    if "val" in logits:  # what was wished before stays, if the run ends a second time
        calibration = fit(logits["val"], photos["val"].labels, best.calibration.wished_error)
        store_calibration(run.path, calibration)
        best = replace(best, calibration=calibration)
    scores = score_lists(best, photos, logits)
    results = Results(
        val=scores.get("val"),
        test=scores.get("test"),
        kept_epoch=state.progress.best_epoch,
        epochs=state.progress.epoch,
        seconds=state.progress.seconds,
        images_per_second=median(epoch.images_per_second for epoch in recorder.epochs),
        parameters=summary.parameters,
        multiply_adds=summary.multiply_adds,
        seed=setup.config.seed,
        device=setup.device.name,
        versions=versions(),
        lists=setup.fingerprint,
    )
    write_answers(run, best, photos, logits, setup.config.data)
    draw_probabilities(run, best, photos, logits)
    if results.test is not None:
        draw_confusion(run.confusion, results.test, best.preprocessing, "test photos")
    curves = plots.curves(points(recorder.epochs, "loss"), points(recorder.epochs, "acc"), results.kept_epoch)
    plots.save(curves, run.curves)
    for file in (run.confusion, run.precision_recall, run.reliability):  # VisualDL cannot draw these itself
        if file.is_file():
            recorder.visual.add_picture(file, results.kept_epoch)
    write_text(run.results_file, results.text())  # last, since it says that the run is finished
    _announce(run, results, best)
    return results


def _announce(run: RunFolder, results: Results, best: Classifier) -> None:
    log.info("kept      epoch %d of %d", results.kept_epoch, results.epochs)
    log.info("trust     %s", best.calibration)
    for name, scores in results.scores.items():
        log.info("%-9s accuracy %s", name, scores)
        for line in describe_calibration(scores) if best.calibration.photos else ():
            log.info("          %s", line)
    written = (
        run.results_file, run.curves, run.reliability, run.confusion, run.precision_recall, run.answers_file,
    )  # fmt: skip
    files = ", ".join(file.name for file in written if file.is_file())
    log.info("results   %s: %s, checkpoints/best.safetensors, model.pdparams", run, files)
    log.info("next      %s", command_line("predict", run, "PHOTO"))
