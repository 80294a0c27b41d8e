"""Our input: first decode, batches of later epochs, and how long training waits for them.

python -m benchmarks.workers.input_speed decode LIST --size 32
python -m benchmarks.workers.input_speed batches LISTS --config configs/tutorial.yaml --seconds 5
python -m benchmarks.workers.input_speed waiting LISTS --config configs/birds.yaml --seconds 5
"""

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.timing import rate, report
from paddle_wrn.config import load_config
from paddle_wrn.photos.lists import read_data_folder, read_list
from paddle_wrn.photos.loading import Photos, load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.training.batches import Batch, steps_per_epoch, training_batches
from paddle_wrn.training.loop import train_step
from paddle_wrn.training.state import TrainingState, new_state

MANY_EPOCHS = 1_000_000  # more than there is time for


def decode(file: Path, size: int) -> float:
    """Return photos decoded a second."""
    photo_list = read_list(file)
    began = time.perf_counter()
    load_photos(photo_list, size, draft=True)
    return len(photo_list) / (time.perf_counter() - began)


def batches(state: TrainingState, photos: Photos, seconds: float) -> float:
    """Return photos a second of epochs that nobody trains with."""
    steps = _steps(state, photos)
    prepared = training_batches(state, photos)

    def epoch() -> None:
        for _ in islice(prepared, steps):
            pass

    return rate(epoch, min(len(photos), steps * state.config.batch_size), seconds)


def _steps(state: TrainingState, photos: Photos) -> int:
    return steps_per_epoch(len(photos), state.config.batch_size, state.config.drop_last)


def waiting_share(state: TrainingState, photos: Photos, val: Photos, seconds: float) -> float:
    """Return the share of whole epochs that is spent waiting for the next batch, after a first epoch.

    Validation between them is not counted.
    """
    state.model.train()
    steps, prepared = _steps(state, photos), training_batches(state, photos)
    _epoch(state, prepared, steps)
    waited = elapsed = 0.0
    while elapsed < seconds:
        state.classifier.logits(val.images)
        state.model.train()
        epoch_waited, epoch_elapsed = _epoch(state, prepared, steps)
        waited, elapsed = waited + epoch_waited, elapsed + epoch_elapsed
    return waited / elapsed


def _epoch(state: TrainingState, prepared: Iterator[Batch], steps: int) -> tuple[float, float]:
    """Train one epoch; return the seconds it waited for batches, and all its seconds."""
    began = time.perf_counter()
    waited = 0.0
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(prepared)
        waited += time.perf_counter() - asked
        train_step(state, batch)
    return waited, time.perf_counter() - began


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["decode", "batches", "waiting"])
    parser.add_argument("lists", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/birds.yaml"))
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    if given.what == "decode":
        report(images_per_second=decode(given.lists, given.size))
        return
    config = load_config(given.config, {"epochs": MANY_EPOCHS})
    folder = read_data_folder(given.lists)
    photos = load_photos(folder.train, config.input.size)
    state = new_state(
        config,
        Preprocessing.from_settings(config.input, folder.classes, lambda: measure_mean_std(photos.images)),
    )
    if given.what == "batches":
        report(images_per_second=batches(state, photos, given.seconds))
    else:
        val = load_photos(folder.split("val"), config.input.size)
        report(waiting_share=waiting_share(state, photos, val, given.seconds))


if __name__ == "__main__":
    main()
