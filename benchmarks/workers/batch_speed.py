"""Our evaluation of batches that are ready in memory, as float32.

    python -m benchmarks.workers.batch_speed FOLDER --batch-size 32 --seconds 5

FOLDER as `benchmarks.workers.export` makes it; `our_logits.npy` is written there.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import rate, report
from paddle_wrn.answering.classifier import load_classifier

import paddle  # isort: skip - only after paddle_wrn has chosen the processor settings


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    classifier = load_classifier(given.folder)
    network = classifier.network or classifier.model
    inputs, size = np.load(given.folder / "inputs.npy"), given.batch_size
    batches = [paddle.to_tensor(inputs[start : start + size]) for start in range(0, len(inputs), size)]

    def logits() -> list[NDArray[np.float32]]:
        with paddle.no_grad():
            return [network(batch).numpy() for batch in batches]

    np.save(given.folder / "our_logits.npy", np.concatenate(logits()))
    report(images_per_second=rate(logits, len(inputs), given.seconds))


if __name__ == "__main__":
    main()
