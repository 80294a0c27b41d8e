"""`python -m paddle_wrn.train`, which ends after its first training step and says when that was.

    python -m benchmarks.workers.first_step BEGAN --data LISTS --output RUN ...

BEGAN is `time.time()` just before this process was started; what follows is for train. Only the last
thing, the step itself, is wrapped; all before happens as in the command.
"""

import os
import sys
import time

from benchmarks.timing import report
from paddle_wrn import train
from paddle_wrn.system.signals import Stop
from paddle_wrn.training import loop
from paddle_wrn.training.batches import Batch
from paddle_wrn.training.state import TrainingState

_train_step = loop.train_step


def _first_step(state: TrainingState, batch: Batch, stop: Stop | None = None) -> bool:
    _train_step(state, batch, stop)
    report(seconds=time.time() - float(sys.argv[1]))
    os._exit(0)  # as if killed: what follows a first step is not measured


if __name__ == "__main__":
    loop.train_step = _first_step
    train.main(sys.argv[2:])
    sys.exit("the run ended, and loop.train_step was never called")
