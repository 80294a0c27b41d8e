"""Our evaluation of images that are in memory, as the commands do it.

    python -m benchmarks.workers.predict_speed FOLDER --seconds 5

FOLDER as `benchmarks.workers.export` makes it; `our_logits.npy` is written there.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.timing import rate, report
from paddle_wrn.answering.classifier import load_classifier


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    classifier = load_classifier(given.folder)
    images = np.load(given.folder / "images.npy")
    np.save(given.folder / "our_logits.npy", classifier.logits(images))
    report(images_per_second=rate(lambda: classifier.logits(images), len(images), given.seconds))


if __name__ == "__main__":
    main()
