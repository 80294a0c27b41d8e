"""Make a network with random weights as a checkpoint of ours and as ONNX, and images for both.

    python -m benchmarks.workers.export FOLDER --model wrn_16_4 --size 32 --images 256

FOLDER gets `checkpoints/best.safetensors`, `network.onnx`, `images.npy` (uint8) and `inputs.npy`, the same
images as the network sees them.
"""

import argparse
from pathlib import Path

import numpy as np
import paddle2onnx

from paddle_wrn.config import load_config
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.training.state import new_state

import paddle  # isort: skip - only after paddle_wrn has chosen the processor settings

CLASSES = tuple(f"class {label}" for label in range(10))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="wrn_16_4")
    parser.add_argument("--size", type=int, default=32, help="side of an image, pixels")
    parser.add_argument("--images", type=int, default=256, help="how many")
    given = parser.parse_args()
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(
        size=given.size, mean=half, std=half, classes=CLASSES, display_names=CLASSES
    )
    config = load_config(None, {"model.name": given.model, "model.options": {}, "input.size": given.size})
    state = new_state(config, preprocessing)
    (given.folder / "checkpoints").mkdir(parents=True)
    state.save_model(RunFolder(given.folder))
    images = np.random.default_rng(0).integers(0, 256, (given.images, given.size, given.size, 3), np.uint8)
    np.save(given.folder / "images.npy", images)
    np.save(given.folder / "inputs.npy", preprocessing.normalise(images))
    state.model.eval()
    spec = [paddle.static.InputSpec([None, 3, given.size, given.size], "float32")]
    paddle.jit.save(state.model, str(given.folder / "network"), input_spec=spec)
    suffix = "json" if (given.folder / "network.json").exists() else "pdmodel"
    files = [str(given.folder / f"network.{ending}") for ending in (suffix, "pdiparams", "onnx")]
    paddle2onnx.export(*files, opset_version=13, optimize_tool="none")  # its default tool runs pip


if __name__ == "__main__":
    main()
