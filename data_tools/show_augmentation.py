"""Draw training photos before and after augmentation, to see whether the random changes make sense.

python data_tools/show_augmentation.py data/birds --config configs/birds.yaml --output augmentation.png
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_wrn.cli import Parser, add_config_option, command
from paddle_wrn.config import Config, load_config
from paddle_wrn.drawing import plots, sheets
from paddle_wrn.errors import UserError
from paddle_wrn.photos.augmentation import augment
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos

VERSIONS = 3  # of each photo
MOST_PHOTOS = 24  # side by side


def show_augmentation(
    data: Path | str,
    output: Path | str,
    *,
    config: Config | Path | str | None = None,
    photos: int = 8,
    seed: int = 0,
) -> None:
    """Draw photos as they are read, and below them three augmented versions of each.

    Args:
        data: folder that `split_data` wrote.
        output: PNG file.
        config: a `Config`, or a YAML file; without one, the recipe of `configs/birds.yaml`.
        photos: how many of the training photos; they are chosen at random.
        seed: of the choice and of the changes.

    Raises:
        UserError: whatever is wrong with the configuration, the list, the photos or the file.
    """
    if not 1 <= photos <= MOST_PHOTOS:
        raise UserError(f"photos: found {photos}; from 1 to {MOST_PHOTOS} fit side by side")
    if seed < 0:
        raise UserError(f"seed: found {seed}; it must be 0 or more")
    file = plots.make_place(output)
    resolved = load_config(config)
    train = read_data_folder(data).train
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(train))[:photos])
    some = replace(
        train,
        paths=tuple(train.paths[index] for index in chosen),
        labels=train.labels[chosen],
        lines=tuple(train.lines[index] for index in chosen),
    )
    images = load_photos(some, resolved.input.size, draft=resolved.input.draft).images
    versions = [augment(images, resolved.augment, rng) for _ in range(VERSIONS)]
    labels = ["as read", *(f"augmented {number}" for number in range(1, VERSIONS + 1))]
    plots.save(sheets.photo_rows([images, *versions], labels), file)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = Parser(
        prog="python data_tools/show_augmentation.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("data", type=Path, metavar="DATA", help="folder that split_data wrote")
    options.add_argument("--output", type=Path, metavar="FILE.png", required=True, help="picture to write")
    add_config_option(options)
    options.add_argument("--photos", type=int, default=8, metavar="N", help="how many photos (%(default)s)")
    options.add_argument(
        "--seed", type=int, default=0, help="another number shows other photos (%(default)s)"
    )
    show_augmentation(**vars(options.parse_args(argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
