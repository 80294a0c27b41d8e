"""Memory of a training on a list of any length: decoded photos, and some steps.

python -m benchmarks.workers.memory LISTS --memory-mb 1000
"""

import argparse
import itertools
from pathlib import Path

from benchmarks.timing import report
from paddle_wrn.config import load_config
from paddle_wrn.photos.lists import read_data_folder
from paddle_wrn.photos.loading import load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.training.batches import training_batches
from paddle_wrn.training.loop import train_step
from paddle_wrn.training.state import new_state

STEPS = 10


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lists", type=Path)
    parser.add_argument("--memory-mb", type=int, default=1000)
    given = parser.parse_args()
    config = load_config(Path("configs/tutorial.yaml"), {"input.mean": None, "input.std": None})
    folder = read_data_folder(given.lists)
    photos = load_photos(folder.train, config.input.size, given.memory_mb)
    state = new_state(
        config,
        Preprocessing.from_settings(config.input, folder.classes, lambda: measure_mean_std(photos.images)),
    )
    state.model.train()
    for batch in itertools.islice(training_batches(state, photos), STEPS):
        train_step(state, batch)
    own = memory_mb("RssAnon")
    report(photos_mb=photos.images.nbytes / 1e6, peak_mb=memory_mb("VmHWM"), own_mb=own)


def memory_mb(name: str, status: Path = Path("/proc/self/status")) -> float:
    """Return one of Linux's figures about this process, megabytes."""
    lines = status.read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kilobytes) * 1024 / 1e6


if __name__ == "__main__":
    main()
