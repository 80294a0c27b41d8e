"""Turn weights from another script into a run, such as the bird tutorial's model.pdparams.

    python -m paddle_wrn.import_weights model.pdparams --classes classes.txt --output runs/tutorial

The command reads depth, width and biases of the tutorial's network off the file. For what weights cannot
tell, it assumes the tutorial's values: photos of 32 x 32 pixels, mean and standard deviation 0.5, its
strides. Give others as in training: `--input.size 64`, `--model.name resnet18`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.config import parse_settings
from paddle_wrn.deploy.importing import import_weights
from paddle_wrn.system.console import command_line


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("import_weights", __doc__)
    options.add_argument("weights", type=Path, help="model.pdparams (or .safetensors)")
    options.add_argument("--classes", type=Path, required=True, help="classes.txt: one class per line")
    options.add_argument("--output", type=Path, required=True, metavar="RUN", help="run folder to make")
    add_network_option(options)
    given, rest = options.parse_known_args(argv)
    config = import_weights(given.weights, given.classes, given.output, settings=parse_settings(rest))
    size = config.input.size
    print(f"written   {given.output}: {config.model.name}, photos of {size} x {size} pixels")
    print(f"next      {command_line('predict', given.output, 'PHOTO')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
