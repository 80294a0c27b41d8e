"""Calibrating a trained network again, for an older run or for another wished error rate."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from paddle_wrn.answering.calibration import WISHED_ERROR, Calibration, fit
from paddle_wrn.answering.classifier import Classifier, find_checkpoint, load_classifier, store_calibration
from paddle_wrn.answering.run_files import draw_probabilities, score_lists, write_answers
from paddle_wrn.answering.run_photos import AskedPhotos, ask, find_list
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import DataFolder, read_data_folder
from paddle_wrn.runs.results import Results
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.device import select_device
from paddle_wrn.system.files import write_text


def calibrate(
    run: Path | str,
    *,
    wished_error: float = WISHED_ERROR,
    data: Path | str | None = None,
    device: str = "auto",
) -> Calibration:
    """Fit temperature and threshold on the validation photos, and store them with the kept weights.

    Training does this itself at its end. The figures, answers and pictures of a finished run are written
    anew, so that they agree with what is stored; what `evaluate` has written stays. Everything is computed
    before anything is written, and whoever is interrupted in between can run this again.

    Args:
        run: run folder, or a `best.safetensors` file.
        wished_error: share of the sure answers that may be wrong, between 0 and 1.
        data: folder that `split_data` wrote; by default the one the run was trained on.
        device: `auto`, `cpu`, `gpu` or `gpu:N`.

    Raises:
        UserError: no such run, an unfinished one, no validation photos, an impossible wish, or a finished run
            whose own photos are not there.
    """
    folder = _run_of(Path(run))
    if not 0 < wished_error < 1:
        raise UserError(f"wished error: found {wished_error:g}; it must lie between 0 and 1, e.g. 0.05")
    folder.refuse_unfinished()  # both would write the same file
    find_checkpoint(folder.path)  # an exported folder has none
    select_device(device)
    classifier = load_classifier(folder.path)
    results = folder.results()
    fitted_on = find_list(folder.path, classifier.preprocessing, data, "val")
    own = None if results is None else _own_lists(folder, results, data)
    asked = {"val": ask(classifier, folder.path, fitted_on)}
    calibration = fit(asked["val"].logits, asked["val"].labels, wished_error)
    for name, photo_list in ({} if own is None else own.lists()).items():
        if name != "train" and photo_list.file != fitted_on.file:
            asked[name] = ask(classifier, folder.path, photo_list)
    _write(folder, replace(classifier, calibration=calibration), asked, results, own)
    return calibration


def _write(
    folder: RunFolder,
    calibrated: Classifier,
    asked: Mapping[str, AskedPhotos],
    results: Results | None,
    own: DataFolder | None,
) -> None:
    """Store the calibration, then whatever of a run depends on it."""
    photos = {name: part.photos for name, part in asked.items()}
    logits = {name: part.logits for name, part in asked.items()}
    scores = score_lists(calibrated, photos, logits)
    store_calibration(folder.path, calibrated.calibration)  # first: from it all else can be made again
    if own is not None:
        write_answers(folder, calibrated, photos, logits, own.folder)
    if folder.path.is_dir():
        draw_probabilities(folder, calibrated, photos, logits)
    if results is not None and own is not None:  # last, see `run_files`
        changed = {name: found for name, found in scores.items() if name in own.lists()}
        write_text(folder.results_file, results.model_copy(update=changed).text())


def _run_of(given: Path) -> RunFolder:
    """Return the run that is meant: a finished one also by the file of its kept weights."""
    around = RunFolder(given.absolute().parent.parent)
    return around if around.finished and given.absolute() == around.best else RunFolder(given)


def _own_lists(folder: RunFolder, results: Results, data: Path | str | None) -> DataFolder:
    """Return the lists whose figures `metrics.json` holds, which may have moved to `data` since."""
    otherwise = f"calibrate a copy of {folder.best}"
    if data is not None:
        given = read_data_folder(data)
        if given.digest() == results.lists:
            return given
    config = folder.config()
    if config is None or not Path(config.data, "train.txt").is_file():
        where = "are not known" if config is None else f"are not in {config.data} any more"
        raise UserError(
            f"{folder}: its own lists {where}, so its figures cannot be scored again; put them back, or "
            f"{otherwise}"
        )
    own = read_data_folder(config.data)
    if results.lists not in (None, own.digest()):
        raise UserError(
            f"{folder}: the lists in {config.data} have changed since it was trained, so its figures cannot "
            f"be scored again; put them back, or {otherwise}"
        )
    return own
