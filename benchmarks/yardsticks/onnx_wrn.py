"""The forward pass of an exported network in ONNX Runtime, on the processor.

    python -m benchmarks.yardsticks.onnx_wrn FOLDER --batch-size 64 --threads 2 --seconds 5

FOLDER holds `network.onnx` and `inputs.npy`, float32 (N, 3, S, S), as `benchmarks.workers.export` makes them;
`onnx_logits.npy` is written there.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.timing import rate, report


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = given.threads
    network = str(given.folder / "network.onnx")
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    inputs = np.load(given.folder / "inputs.npy")
    size = given.batch_size
    batches = [inputs[start : start + size] for start in range(0, len(inputs), size)]

    def logits() -> list[np.ndarray]:
        return [session.run(None, {name: batch})[0] for batch in batches]

    np.save(given.folder / "onnx_logits.npy", np.concatenate(logits()))
    report(images_per_second=rate(logits, len(inputs), given.seconds))


if __name__ == "__main__":
    main()
