"""Fit the probabilities of a trained network again: for an older run, or for another wished error rate."""

from pathlib import Path

from paddle_wrn.answering.calibration import WISHED_ERROR, Calibration, fit
from paddle_wrn.answering.classifier import find_checkpoint, load_classifier, store_calibration
from paddle_wrn.answering.evaluation import list_to_score
from paddle_wrn.answering.pictures import draw_reliability
from paddle_wrn.errors import UserError
from paddle_wrn.photos.loading import load_photos
from paddle_wrn.runs.run_folder import LAST, METRICS, RELIABILITY
from paddle_wrn.system.console import command_line
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
    if (run / LAST).exists() and not (run / METRICS).exists():  # both would write the same file
        raise UserError(
            f"{run}: its training is not finished and calibrates at its end; continue it with: "
            f"{command_line('train', '--resume', '--output', run)}"
        )
    find_checkpoint(run)  # an exported folder has none
    select_device(device)
    classifier = load_classifier(run)
    contract = classifier.preprocessing
    photos = load_photos(list_to_score(run, contract, data, "val"), contract.size, draft=contract.draft)
    logits = classifier.logits(photos.images)
    calibration = fit(logits, photos.labels, wished_error)
    store_calibration(run, calibration)
    if run.is_dir():
        draw_reliability(run / RELIABILITY, logits, photos.labels, calibration, "validation")
    return calibration
