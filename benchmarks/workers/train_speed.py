"""Our training steps, from a batch that is ready in memory.

python -m benchmarks.workers.train_speed wrn_28_1 --batch-size 32 --size 32 --seconds 5
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.timing import rate, report
from paddle_wrn.config import load_config
from paddle_wrn.models.summary import count_parameters
from paddle_wrn.photos.loading import Photos
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.training.batches import training_batches
from paddle_wrn.training.loop import train_step
from paddle_wrn.training.state import new_state

CLASSES = tuple(f"class {label}" for label in range(10))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--size", type=int, default=32, help="side of an image, pixels")
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    changes = {
        "model.name": given.model, "model.options": {}, "input.size": given.size, "augment.crop_size": None,
        "batch_size": given.batch_size, "label_smoothing": 0.0, "optimizer.lr": 0.01,
        "optimizer.weight_decay": 5e-4,
    }  # fmt: skip
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(
        size=given.size, mean=half, std=half, classes=CLASSES, display_names=CLASSES
    )
    state = new_state(load_config(None, changes), preprocessing)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (given.batch_size, given.size, given.size, 3), np.uint8)
    labels = rng.integers(0, len(CLASSES), given.batch_size)
    photos = Photos(images, labels, (Path("drawn"),) * given.batch_size)
    batch = next(training_batches(state, photos))
    state.model.train()
    speed = rate(lambda: train_step(state, batch), given.batch_size, given.seconds)
    parameters = count_parameters(state.model)
    report(images_per_second=speed, parameters=int(parameters))


if __name__ == "__main__":
    main()
