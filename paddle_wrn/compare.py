"""Train several configurations with several seeds, and say which differences are more than noise.

All train on the same photos. The command does not repeat trainings that it has already finished in the output
folder. So if a comparison was interrupted, the same command continues it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from paddle_wrn.cli import add_network_option, command, parser
from paddle_wrn.config import parse_settings
from paddle_wrn.studies.comparison import compare
from paddle_wrn.studies.comparison_tables import report


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser("compare", __doc__)
    options.allow_abbrev = False  # --seed is a setting of train, not --seeds
    options.epilog = "settings for all configurations: --name VALUE, as train --help lists them"
    options.add_argument("configs", nargs="+", type=Path, metavar="CONFIG",
                         help="YAML files of settings, or names of shipped ones")  # fmt: skip
    options.add_argument(
        "--seeds", type=int, default=3, help="number of trainings of each configuration (default: 3)"
    )
    options.add_argument(
        "--data", type=Path, help="folder that split_data wrote (default: the configurations')"
    )
    options.add_argument(
        "--output",
        type=Path,
        default=Path("runs/compare"),
        help="folder for the runs and the table (default: runs/compare)",
    )
    add_network_option(options)
    given, rest = options.parse_known_args(argv)
    entries = compare(
        given.configs,
        seeds=given.seeds,
        data=given.data,
        output=given.output,
        settings=parse_settings(rest),
    )
    print(report(entries), end="")
    print(f"written to {given.output}: comparison.md, comparison.csv, comparison.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
