"""What one step of several processes takes, and how much of it is the exchange of gradients.

python -m paddle.distributed.launch --nproc_per_node 2 python -m benchmarks.workers.exchange wrn_28_1
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.timing import report
from paddle_wrn.config import load_config
from paddle_wrn.photos.loading import Photos
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.training.batches import training_batches
from paddle_wrn.training.loop import train_step
from paddle_wrn.training.processes import Processes, join_processes
from paddle_wrn.training.state import new_state


def main() -> None:
    """Run the command line; the first process prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--batch-size", type=int, default=32, help="images a step of all processes together")
    parser.add_argument("--steps", type=int, default=15)
    given = parser.parse_args()
    processes = join_processes()
    changes = {"model.name": given.model, "model.options": {}, "input.size": 32, "augment.crop_size": None,
               "batch_size": given.batch_size, "optimizer.lr": 0.01}  # fmt: skip
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(size=32, mean=half, std=half, classes=("a", "b"), display_names=("a", "b"))
    state = new_state(load_config(None, changes), preprocessing, processes)
    state.take_from_first()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (given.batch_size, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 2, given.batch_size)
    batch = next(training_batches(state, Photos(images, labels, (Path("drawn"),) * given.batch_size)))
    state.model.train()
    parameters = [parameter for parameter in state.model.parameters() if not parameter.stop_gradient]
    train_step(state, batch)  # the first is slower
    step = _median(lambda: train_step(state, batch), given.steps, processes)
    gradients = _median(lambda: processes.add_up(parameters, 1 / processes.count), given.steps, processes)
    sums = _median(lambda: processes.sum(np.zeros(2)), given.steps, processes)
    if processes.is_first:
        size = sum(parameter.size for parameter in parameters)
        report(processes=processes.count, images=given.batch_size, parameters=int(size), step_ms=1e3 * step,
               gradients_ms=1e3 * gradients, sums_ms=1e3 * sums)  # fmt: skip


def _median(work: Callable[[], object], times: int, processes: Processes) -> float:
    """Return the median seconds of some work that all processes begin at about the same moment."""
    seconds = []
    for _ in range(times):
        processes.largest(0)
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


if __name__ == "__main__":
    main()
