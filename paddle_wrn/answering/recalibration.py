"""Calibrating a trained network again, for an older run or for another wished error rate."""

from pathlib import Path

from paddle_wrn.answering.calibration import WISHED_ERROR, Calibration, fit
from paddle_wrn.answering.classifier import find_checkpoint, load_classifier, store_calibration
from paddle_wrn.answering.pictures import draw_reliability
from paddle_wrn.answering.run_photos import find_list, load_run_photos
from paddle_wrn.errors import UserError
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.system.device import select_device


def calibrate(
    run: Path | str,
    *,
    wished_error: float = WISHED_ERROR,
    data: Path | str | None = None,
    device: str = "auto",
) -> Calibration:
    """Fit temperature and threshold on the validation photos, and store them with the kept weights.

    Training does this itself at its end. Figures that were written before stay as they are.

    Args:
        run: run folder, or a `best.safetensors` file.
        wished_error: share of the sure answers that may be wrong, between 0 and 1.
        data: folder that `split_data` wrote; by default the one the run was trained on.
        device: `auto`, `cpu`, `gpu` or `gpu:N`.

    Raises:
        UserError: no such run, an unfinished one, no validation photos, or an impossible wish.
    """
    run = Path(run)
    if not 0 < wished_error < 1:
        raise UserError(f"wished error: found {wished_error:g}; it must lie between 0 and 1, e.g. 0.05")
    RunFolder(run).refuse_unfinished()  # both would write the same file
    find_checkpoint(run)  # an exported folder has none
    select_device(device)
    classifier = load_classifier(run)
    contract = classifier.preprocessing
    photos = load_run_photos(run, contract, find_list(run, contract, data, "val"))
    logits = classifier.logits(photos.images)
    calibration = fit(logits, photos.labels, wished_error)
    store_calibration(run, calibration)
    if run.is_dir():
        draw_reliability(RunFolder(run).reliability, logits, photos.labels, calibration, "validation")
    return calibration
