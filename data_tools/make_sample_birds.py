"""Draw the sample birds: a small data set of made-up photos of four species.

    python data_tools/make_sample_birds.py --output data/sample_birds/photos --per-species 100 --seed 0

The same seed draws the same pictures again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # run as a file, Python looks for modules in its folder only
    sys.path.insert(0, str(Path(__file__).parents[1]))

from paddle_wrn.cli import Parser, command
from paddle_wrn.photos.sample.birds import SPECIES
from paddle_wrn.photos.sample.drawing import make_sample_birds

DEFAULT_OUTPUT = Path("data/sample_birds/photos")


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = Parser(prog="make_sample_birds", description=(__doc__ or "").splitlines()[0])
    options.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="folder to make (%(default)s)")
    options.add_argument(
        "--per-species", type=int, default=100, help="pictures of each species (%(default)s)"
    )
    options.add_argument("--seed", type=int, default=0, help="another number draws other birds (%(default)s)")
    given = options.parse_args(argv)
    output = make_sample_birds(given.output, given.per_species, given.seed)
    print(f"{output} holds {given.per_species} pictures of each of {len(SPECIES)} species")
    return 0


if __name__ == "__main__":
    sys.exit(main())
