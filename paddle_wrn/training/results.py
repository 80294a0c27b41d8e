"""The end of a training: calibrate the kept weights, score the test photos once, write the results."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import paddle
from numpy.typing import NDArray

from paddle_wrn.answering.calibration import describe_calibration, fit, score_calibrated
from paddle_wrn.answering.classifier import Classifier, load_classifier, store_calibration
from paddle_wrn.answering.pictures import draw_confusion, draw_precision_recall, draw_reliability
from paddle_wrn.drawing import plots
from paddle_wrn.models.summary import Summary
from paddle_wrn.photos.loading import Photos
from paddle_wrn.runs.epochs import points
from paddle_wrn.runs.results import Results, TestAnswer, answers_text
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.console import log
from paddle_wrn.system.files import write_atomically, write_text
from paddle_wrn.system.versions import versions
from paddle_wrn.training.recording import RunRecorder
from paddle_wrn.training.setup import Setup
from paddle_wrn.training.state import TrainingState


def write_results(setup: Setup, state: TrainingState, recorder: RunRecorder, summary: Summary) -> Results:
    """Calibrate the kept weights, score them once on the test photos, write figures and pictures."""
    run, photos = setup.run, setup.photos
    best = load_classifier(run.path)
    write_atomically(
        run.path / "model.pdparams", lambda file: paddle.save(best.model.state_dict(), str(file))
    )
    logits = {name: best.logits(photos[name].images) for name in ("val", "test") if name in photos}
    if "val" in logits:  # what was wished before stays, if the run ends a second time
        calibration = fit(logits["val"], photos["val"].labels, best.calibration.wished_error)
        store_calibration(run.path, calibration)
        best = replace(best, calibration=calibration)
    scores = {
        name: score_calibrated(logits[name], photos[name].labels, best.preprocessing, best.calibration)
        for name in logits
    }
    results = Results(
        val=scores.get("val"),
        test=scores.get("test"),
        kept_epoch=state.progress.best_epoch,
        epochs=setup.config.epochs,
        seconds=state.progress.seconds,
        images_per_second=median(epoch.images_per_second for epoch in recorder.epochs),
        parameters=summary.parameters,
        multiply_adds=summary.multiply_adds,
        seed=setup.config.seed,
        device=setup.device.name,
        versions=versions(),
        lists=setup.lists,
    )
    if "test" in photos:
        said = _answers(photos["test"], logits["test"], best, setup.config.data)
        write_text(run.answers_file, answers_text(said))
    _draw(run, results, logits, photos, best)
    curves = plots.curves(points(recorder.epochs, "loss"), points(recorder.epochs, "acc"), results.kept_epoch)
    plots.save(curves, run.curves)
    for file in (run.confusion, run.precision_recall, run.reliability):  # VisualDL cannot draw these itself
        if file.is_file():
            recorder.visual.add_picture(file, results.kept_epoch)
    write_text(run.results_file, results.text())  # last, since it says that the run is finished
    _announce(run, results, best)
    return results


def _draw(
    run: RunFolder,
    results: Results,
    logits: Mapping[str, NDArray[np.float32]],
    photos: Mapping[str, Photos],
    best: Classifier,
) -> None:
    if results.val is not None:
        draw_reliability(run.reliability, logits["val"], photos["val"].labels, best.calibration, "validation")
    if results.test is not None:
        draw_confusion(run.confusion, results.test, best.preprocessing, "test photos")
        draw_precision_recall(run.precision_recall, logits["test"], photos["test"].labels, best)


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
    log.info("next      python -m paddle_wrn.predict %s PHOTO", run)


def _answers(
    photos: Photos, logits: NDArray[np.float32], classifier: Classifier, folder: str
) -> list[TestAnswer]:
    """Return what is said of photos; paths that begin with the folder of the lists are given from there."""
    start, classes = Path(folder).absolute(), classifier.preprocessing.classes
    probabilities = classifier.calibration.probabilities(logits)
    answers = []
    for path, label, row, sure in zip(
        photos.paths, photos.labels, probabilities, classifier.calibration.sure(probabilities), strict=True
    ):
        absolute = path.absolute()
        shown = absolute.relative_to(start) if absolute.is_relative_to(start) else path
        answers.append(
            TestAnswer(shown.as_posix(), classes[label], classes[row.argmax()], float(row.max()), bool(sure))
        )
    return answers
