"""Name what photos show, with probabilities.

A run folder, its best.safetensors alone or an exported folder is enough.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.answering.prediction import predict
from paddle_wrn.cli import EXIT_USER_ERROR, add_network_option, command, parser
from paddle_wrn.errors import ImageError


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("predict", __doc__)
    options.add_argument("run", type=Path, help="run folder (or its checkpoints/best.safetensors)")
    options.add_argument(
        "photos", type=Path, nargs="+", metavar="PHOTO_OR_FOLDER", help="photos, or folders of photos"
    )
    named = options.add_mutually_exclusive_group()
    named.add_argument("--top-k", type=int, default=3, help="number of classes to name (default: 3)")
    named.add_argument("--all", action="store_true", help="name every class, one per line")
    options.add_argument("--json", action="store_true", help="print one JSON object per line")
    options.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="draw the first 24 photos with their answers"
    )
    options.add_argument(
        "--explain",
        type=Path,
        metavar="DIR",
        help="draw into this folder where in each photo the evidence lies",
    )
    options.add_argument("--device", default="auto", help="auto, cpu, gpu or gpu:N (default: auto)")
    add_network_option(options)
    given: argparse.Namespace = options.parse_args(argv)
    top_k = None if given.all else given.top_k
    failed = False
    pictures = {"picture": given.picture, "explain": given.explain}
    for result in predict(given.run, given.photos, top_k=top_k, **pictures, device=given.device):
        if isinstance(result, ImageError):
            failed = True
            print(f"error: {result}", file=sys.stderr)
        elif given.json:
            print(json.dumps(result.to_json(), ensure_ascii=False))
        else:
            print(result.table() if given.all else result)
    return EXIT_USER_ERROR if failed else 0


if __name__ == "__main__":
    sys.exit(main())
