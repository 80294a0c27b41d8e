"""Fit the probabilities of a trained network again: for an older run, or for another wished error rate."""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.calibration import WISHED_ERROR, Calibration, fit
from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.data import load_photos
from paddle_wrn.device import select_device
from paddle_wrn.errors import UserError
from paddle_wrn.evaluate import list_to_score
from paddle_wrn.inference import find_checkpoint, load_classifier, store_calibration
from paddle_wrn.run_folder import METRICS, RELIABILITY, draw_reliability
from paddle_wrn.state import LAST


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
            f"python -m paddle_wrn.train --resume --output {run}"
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


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("calibrate", __doc__)
    options.add_argument("run", type=Path, help="run folder (or its checkpoints/best.safetensors)")
    options.add_argument(
        "--wished-error",
        type=float,
        default=WISHED_ERROR,
        metavar="SHARE",
        help=f"share of the sure answers that may be wrong (default: {WISHED_ERROR})",
    )
    options.add_argument("--data", type=Path, help="folder that split_data wrote (default: the run's own)")
    options.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    add_network_option(options)
    given = options.parse_args(argv)
    print(calibrate(given.run, wished_error=given.wished_error, data=given.data, device=given.device))
    return 0


if __name__ == "__main__":
    sys.exit(main())
