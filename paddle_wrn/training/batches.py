"""Which photos make a batch, and batches prepared ahead."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")


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


def prepared_ahead(jobs: Iterable[Callable[[], Item]]) -> Generator[Item]:
    """Yield what the jobs return, in order; the next one runs in a thread while the caller works."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Item] | None = None
        for job in jobs:
            following = pool.submit(job)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
