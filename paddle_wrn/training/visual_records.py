"""What VisualDL shows of a run: scalars, pictures, histograms of the weights and the graph of the network."""

import copy
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from PIL import Image

from paddle_wrn.models.weights import Arrays
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.system.console import log
from paddle_wrn.system.files import write_text

_SCALARS = {
    "train_loss": "loss/train",
    "val_loss": "loss/val",
    "train_acc": "accuracy/train",
    "val_acc": "accuracy/val",
    "lr": "learning rate",
    "images_per_second": "speed/images per second",
}


class VisualRecords:
    """The records of one run, in its folder `visualdl`."""

    def __init__(self, folder: Path) -> None:
        """Open the records; those of a run that is continued are added to.

        Args:
            folder: for the records.
        """
        from visualdl import LogWriter

        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._writer = LogWriter(str(folder), file_name="vdlrecords.paddle_wrn.log")

    def add_epoch(self, epoch: Epoch) -> None:
        """Show the numbers of an epoch as scalars."""
        for name, tag in _SCALARS.items():
            value = getattr(epoch, name)
            if value is not None:
                self._writer.add_scalar(tag, value, epoch.epoch)

    def add_image(self, tag: str, image: NDArray[np.uint8], step: int) -> None:
        """Show a picture in VisualDL. Shape: (H, W, 3) uint8."""
        self._writer.add_image(tag, image, step)

    def add_picture(self, file: Path, step: int) -> None:
        """Show a picture that was drawn for the run in VisualDL, under the name of its file."""
        with Image.open(file) as picture:
            self.add_image(file.stem.replace("_", " "), np.asarray(picture.convert("RGB")), step)

    def add_histograms(self, weights: Arrays, step: int) -> None:
        """Show how the weights of convolutions and linear layers are distributed."""
        for name, values in weights.items():
            if values.ndim > 1:
                self._writer.add_histogram(name, values.ravel(), step, buckets=40)

    def add_graph(self, model: nn.Layer, input_shape: tuple[int, ...]) -> None:
        """Show the computation graph of a network in VisualDL; the network itself is left alone.

        Args:
            model: the network.
            input_shape: (channels, height, width) of an image.
        """
        try:
            graph = computation_graph(model, input_shape)
        except Exception as error:  # whatever a network does that cannot be traced: it can be trained still
            log.warning("          no graph for VisualDL (%s)", " ".join(str(error).split())[:200])
            return
        write_text(self._folder / "vdlgraph.paddle_wrn.log", json.dumps(graph))

    def close(self) -> None:
        """Flush VisualDL's records."""
        self._writer.close()


def computation_graph(model: nn.Layer, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Trace a copy of a network, in evaluation mode, into what VisualDL draws: nodes, variables and edges.

    `LogWriter.add_graph` would do, but it fails with Paddle 3, whose programs are saved in another form, and
    it leaves its hooks in the network. So the program is traced in the older form, which Paddle 3 still has.
    """
    from visualdl.component.graph import analyse_model
    from visualdl.component.graph.utils import create_opname_scope

    try:
        from paddle.pir_utils import OldIrGuard

        older_form = OldIrGuard()
    except ImportError:  # Paddle 2.6 has no other form
        older_form = nullcontext()
    random_state = paddle.get_rng_state()
    try:
        with paddle.utils.unique_name.guard():
            traced = copy.deepcopy(model)
            traced.eval()
            create_opname_scope(traced)
            with older_form:
                paddle.disable_static()  # which the guard turns on
                images = paddle.static.InputSpec([None, *input_shape], "float32", name="images")
                static = paddle.jit.to_static(traced, input_spec=[images], full_graph=True)
                program = static.forward.concrete_program.main_program
                graph: dict[str, Any] = analyse_model(program.desc.serialize_to_string())
    finally:
        paddle.set_rng_state(random_state)
    for node in graph["nodes"]:  # a call stack of the user's paths for every node: most of the file
        node["attrs"].pop("op_callstack", None)
    return graph
