"""Measure the mean and standard deviation of the colours of photos, ready for a configuration.

    python data_tools/channel_stats.py data/birds
    python data_tools/channel_stats.py data/cifar10 --config configs/wrn_28_10_cifar10.yaml --batches 20

With --batches, it also checks what the network is fed. After augmentation and normalisation, each channel of
the training batches should have a mean of about 0 and a standard deviation of about 1.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from paddle_wrn.cli import Parser, add_config_option, command
from paddle_wrn.config import Config, Rgb, load_config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.lists import DataFolder, read_data_folder
from paddle_wrn.photos.loading import Photos, load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import Preprocessing

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class ChannelStats:
    """What was measured, per channel (R, G, B).

    Attributes:
        photos: how many.
        size: side of their black-padded squares, pixels.
        mean: of pixel values scaled to 0..1.
        std: standard deviation, same scale.
        batches: mean and standard deviation of training batches, as the network gets them.
    """

    photos: int
    size: int
    mean: Rgb
    std: Rgb
    batches: tuple[tuple[Rgb, Rgb], ...] = ()

    def __str__(self) -> str:
        lines = [
            f"{self.photos} photos, {self.size} x {self.size} pixels: red, green, blue",
            f"mean {_row(self.mean, 255, 1)} of 255",
            f"std  {_row(self.std, 255, 1)} of 255",
            "",
            "input:",
            f"  size: {self.size}",
            f"  mean: [{_row(self.mean, 1, 4)}]",
            f"  std: [{_row(self.std, 1, 4)}]",
        ]
        if self.batches:
            lines += ["", "training batches after augmentation and normalisation"]
        lines += [
            f"{number:5}  mean {_row(mean, 1, 3)}  std {_row(std, 1, 3)}"
            for number, (mean, std) in enumerate(self.batches, start=1)
        ]
        return "\n".join(lines)


def channel_stats(
    data: Path | str,
    *,
    split: Split = "train",
    config: Config | Path | str | None = None,
    size: int | None = None,
    batches: int = 0,
) -> ChannelStats:
    """Measure the photos of one list.

    Args:
        data: folder that `split_data` wrote.
        split: the list.
        config: a `Config`, or a YAML file: size, augmentation and normalisation; without one, the recipe of
            `configs/birds.yaml`.
        size: side of the squares, pixels, in place of the configuration's.
        batches: number of training batches to check; no more than an epoch has are made.

    Raises:
        UserError: whatever is wrong with the configuration, the list or the photos.
    """
    if batches < 0:
        raise UserError(f"batches: found {batches}; it must be 0 or more")
    if batches and split != "train":
        raise UserError(f"split: found {split}, but only training photos are made into batches; choose train")
    resolved = load_config(config, {} if size is None else {"input.size": size})
    folder = read_data_folder(data)
    photos = load_photos(
        folder.split(split), resolved.input.size, resolved.input.memory_mb, draft=resolved.input.draft
    )
    mean, std = measure_mean_std(photos.images)
    checked = _check_batches(resolved, folder, photos, batches) if batches else ()
    return ChannelStats(len(photos), resolved.input.size, mean, std, checked)


def _check_batches(
    config: Config, folder: DataFolder, photos: Photos, batches: int
) -> tuple[tuple[Rgb, Rgb], ...]:
    """Return mean and standard deviation of the first batches of a training, made as `train` makes them."""
    from paddle_wrn.training.batches import training_batches  # only now: importing Paddle takes seconds
    from paddle_wrn.training.state import new_state

    contract = Preprocessing.from_settings(
        config.input, folder.classes, lambda: measure_mean_std(photos.images)
    )
    one_epoch = config.model_copy(update={"epochs": 1})
    state = new_state(one_epoch, contract)
    images = (batch.images for batch in islice(training_batches(state, photos), batches))
    return tuple(
        (tuple(batch.mean((0, 2, 3), "float64").tolist()), tuple(batch.std((0, 2, 3), "float64").tolist()))
        for batch in images
    )


def _row(values: Sequence[float], scale: float, digits: int) -> str:
    return ", ".join(f"{value * scale:.{digits}f}" for value in values)


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = Parser(
        prog="python data_tools/channel_stats.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("data", type=Path, metavar="DATA", help="folder that split_data wrote")
    options.add_argument("--split", choices=("train", "val", "test"), default="train",
                         help="which list of photos (%(default)s)")  # fmt: skip
    add_config_option(options)
    options.add_argument(
        "--size", type=int, help="side of the squares, pixels (default: from the configuration, 120)"
    )
    options.add_argument(
        "--batches", type=int, default=0, metavar="N", help="also check the first N training batches"
    )
    print(channel_stats(**vars(options.parse_args(argv))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
