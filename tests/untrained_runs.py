"""Runs of networks that were never trained, and what is needed to export them."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.classifier import store_calibration
from paddle_wrn.config import load_config
from paddle_wrn.deploy import onnx_file
from paddle_wrn.errors import UserError
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.training.state import new_state

CLASSES, SHOWN = ("Blue Disc", "Green", "红 三角"), ("蓝圆", "Green", "Red Triangle")
CALIBRATION = Calibration(temperature=0.5, threshold=0.45, photos=6)


def onnx_obstacle() -> str:
    try:
        onnx_file.check_packages()
    except UserError as error:
        return str(error)
    return ""


needs_onnx = pytest.mark.skipif(bool(onnx_obstacle()), reason=onnx_obstacle())


def make_run(run: Path, data: Path, name: str = "wrn_10_1", size: int = 32, **options: Any) -> Path:
    """Make the folder of a run that was never trained, with running statistics that have moved."""
    config = load_config(
        None, {"data": str(data), "model.name": name, "model.options": options, "input.size": size}
    )
    contract = Preprocessing(
        size=size,
        mean=(0.3, 0.25, 0.35),
        std=(0.2, 0.25, 0.3),
        classes=CLASSES,
        display_names=SHOWN,
        mirror=True,
        draft=True,
    )
    state = new_state(config, contract)
    for buffer, value in state.model.state_dict().items():
        if buffer.endswith("_mean"):
            value.set_value(paddle.uniform(value.shape, min=-0.2, max=0.2))
        if buffer.endswith("_variance"):
            value.set_value(paddle.uniform(value.shape, min=0.5, max=1.5))
    RunFolder(run).create(config, contract)
    state.save_model(RunFolder(run))
    store_calibration(run, CALIBRATION)
    return run


def squares(count: int, size: int = 32) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
