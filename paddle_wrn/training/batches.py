"""Which photos make a batch, and batches prepared ahead."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from paddle_wrn.config import Config
from paddle_wrn.errors import UserError
from paddle_wrn.photos.augmentation import augment
from paddle_wrn.photos.loading import Photos, prepared_ahead
from paddle_wrn.training.processes import Processes
from paddle_wrn.training.state import TrainingState


@dataclass(frozen=True)
class Batch:
    """What one step of one process needs.

    Attributes:
        images: (N, 3, S, S) float32.
        labels: (N,) int64.
        dropout_seed: for the random choices of dropout.
        photos: of this step, in all processes together.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    dropout_seed: int
    photos: int


def training_batches(state: TrainingState, photos: Photos) -> Generator[Batch]:
    """Yield what remains of the training, shuffled and augmented, epoch after epoch.

    Each batch is prepared ahead: that of an epoch's first step while the last epoch is validated.
    """
    config = state.config

    def prepare(epoch: int, step: int, indices: NDArray[np.int64]) -> Batch:
        rng = np.random.default_rng([config.seed, epoch, step])
        dropout_seed = (int(rng.integers(2**31)) + state.processes.rank) % 2**31
        own = state.processes.share(len(indices))
        images = augment(photos.images[indices], config.augment, rng)[own]
        labels = photos.labels[indices[own]]
        return Batch(state.preprocessing.normalise(images), labels, dropout_seed, len(indices))

    def jobs(epoch: int, first: int) -> Iterator[Callable[[], Batch]]:
        while epoch < config.epochs:
            for step, indices in shuffled_batches(
                len(photos), config.batch_size, config.drop_last, config.seed, epoch, first
            ):
                yield partial(prepare, epoch, step, indices)
            epoch, first = epoch + 1, 0

    return prepared_ahead(jobs(state.progress.epoch, state.progress.step))


def steps_per_epoch(count: int, batch_size: int, drop_last: bool) -> int:
    """Return the number of batches of an epoch; there is always one.

    Args:
        count: number of photos.
        batch_size: photos per step.
        drop_last: leave out the photos that do not fill a batch (others in every epoch).
    """
    full, rest = divmod(count, batch_size)
    return full if full and (drop_last or not rest) else full + 1


def shuffled_batches(
    count: int, batch_size: int, drop_last: bool, seed: int, epoch: int, first: int = 0
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (step, indices) of one epoch; the order depends on seed and epoch alone.

    Args:
        count: number of photos.
        batch_size: photos per step.
        drop_last: leave out the last batch if it is smaller.
        seed: of the run.
        epoch: number of the epoch.
        first: step to begin with, when an epoch is continued.
    """
    order = np.random.default_rng([seed, epoch]).permutation(count)
    for step in range(first, steps_per_epoch(count, batch_size, drop_last)):
        yield step, order[step * batch_size : (step + 1) * batch_size]


def refuse_small_batches(config: Config, photos: int, processes: Processes) -> None:
    """Raise `UserError` if a batch of an epoch has fewer photos than there are processes."""
    steps = steps_per_epoch(photos, config.batch_size, config.drop_last)
    smallest = min(config.batch_size, photos - (steps - 1) * config.batch_size)
    if smallest < processes.count:
        raise UserError(
            f"batch_size: found {config.batch_size}, so that a batch of the {photos} photos has only "
            f"{smallest}; each of the {processes.count} processes needs one at least"
        )
