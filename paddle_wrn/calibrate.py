"""Fit the probabilities of a trained network again.

Use it for a run that has no calibration yet, or if you accept another share of errors than in training.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.answering.calibration import WISHED_ERROR
from paddle_wrn.answering.recalibration import calibrate
from paddle_wrn.cli import add_network_option, command, parser


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
