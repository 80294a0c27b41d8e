"""A trained network with its preprocessing contract, ready to use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.answering.exported import CONTRACT, load_exported
from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.models.modes import evaluation_mode
from paddle_wrn.models.weights import put_weights
from paddle_wrn.native import accelerate
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.checkpoint import load_checkpoint, save_checkpoint
from paddle_wrn.runs.run_folder import RunFolder

BATCH_SIZE = 64  # photos; larger gains nothing on a processor


@dataclass(frozen=True)
class Classifier:
    """A network and its contract.

    Attributes:
        model: the network.
        preprocessing: its contract.
        network: computes what the model computes; without it, the model itself does.
        calibration: turns its logits into honest probabilities.
    """

    model: nn.Layer
    preprocessing: Preprocessing
    network: Callable[[paddle.Tensor], paddle.Tensor] | None = None
    calibration: Calibration = field(default_factory=Calibration)

    def logits(
        self, images: NDArray[np.uint8], on_batch: Callable[[int], object] = lambda photos: None
    ) -> NDArray[np.float32]:
        """Run the network in evaluation mode; afterwards it is in the mode it was in.

        Args:
            images: (N, size, size, 3) uint8, as `Preprocessing.load` makes them.
            on_batch: called with the number of photos done after each batch.

        Returns:
            (N, classes) float32.
        """
        outputs = []
        with evaluation_mode(self.model):
            for start in range(0, len(images), BATCH_SIZE):
                inputs = self.preprocessing.normalise(images[start : start + BATCH_SIZE])
                logits = self._forward(inputs)
                if self.preprocessing.mirror:
                    logits += self._forward(np.ascontiguousarray(inputs[:, :, :, ::-1]))
                    logits /= 2
                outputs.append(logits)
                on_batch(len(inputs))
        return np.concatenate(outputs)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return calibrated probabilities. Shape: (N, size, size, 3) uint8 -> (N, classes)."""
        return self.calibration.probabilities(self.logits(images))

    def _forward(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        with paddle.no_grad():
            return (self.network or self.model)(paddle.to_tensor(inputs)).numpy()


def find_checkpoint(run: Path | str) -> Path:
    """Return the model file of a run folder, or the file itself if one was given.

    Raises:
        UserError: there is no such folder, or its training has saved nothing yet.
    """
    run = Path(run)
    if run.is_file():
        return run
    if not run.is_dir():
        raise UserError(f"{run}: no such run folder; train one with: python -m paddle_wrn.train")
    best = RunFolder(run).best
    if not best.is_file():
        missing = best.relative_to(run)
        raise UserError(
            f"{run}: holds no trained network ({missing} is missing); train it, or give another folder"
        )
    return best


def load_classifier(run: Path | str) -> Classifier:
    """Load the trained network of a run folder, of a `best.safetensors` or of an exported folder.

    Raises:
        UserError: no such run, or a damaged or foreign file.
    """
    if Path(run, CONTRACT).is_file():
        program, contract = load_exported(Path(run))
        return Classifier(program, contract.preprocessing, calibration=contract.calibration)
    file = find_checkpoint(run)
    arrays, record = load_checkpoint(file, "model")
    try:
        preprocessing = Preprocessing.model_validate(record["preprocessing"])
        name, options = record["model"]["name"], dict(record["model"]["options"])
        calibration = Calibration.model_validate(record.get("calibration", {}))  # older files have none
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: its record is incomplete ({error!r}); use another copy") from None
    model = create_model(name, len(preprocessing.classes), **options)
    put_weights(model, arrays, file)
    model.eval()
    return Classifier(model, preprocessing, accelerate(model), calibration)


def store_calibration(run: Path | str, calibration: Calibration) -> None:
    """Write a calibration into the model file of a run folder, or into the file itself; all else stays.

    Raises:
        UserError: no such run, or a damaged or foreign file.
    """
    file = find_checkpoint(run)
    arrays, record = load_checkpoint(file, "model")
    save_checkpoint(file, arrays, record | {"calibration": calibration.model_dump()})
