"""What happened in a run: one JSON object an epoch, and VisualDL records beside it."""

import copy
import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from PIL import Image

from paddle_wrn.models.weights import Arrays
from paddle_wrn.system.console import log
from paddle_wrn.system.files import write_text

Epoch = dict[str, Any]


class History:
    """The epochs of a run, on disk as `history.jsonl` and in VisualDL.

    Attributes:
        epochs: one dictionary an epoch, oldest first.
    """

    def __init__(self, run: Path, epochs_done: int) -> None:
        """Open the history of a run folder; epochs beyond `epochs_done` are forgotten."""
        from visualdl import LogWriter

        self._folder = run / "visualdl"
        self._file = run / "history.jsonl"
        self.epochs = [epoch for epoch in read_history(run) if epoch["epoch"] <= epochs_done]
        write_text(self._file, "".join(_line(epoch) for epoch in self.epochs))
        self._folder.mkdir(exist_ok=True)
        self._writer = LogWriter(str(self._folder), file_name="vdlrecords.paddle_wrn.log")

    def add(self, epoch: Epoch) -> None:
        """Append one epoch; its numbers become scalars in VisualDL."""
        self.epochs.append(epoch)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(epoch))
            file.flush()
            os.fsync(file.fileno())
        for name, tag in (
            ("train_loss", "loss/train"),
            ("val_loss", "loss/val"),
            ("train_acc", "accuracy/train"),
            ("val_acc", "accuracy/val"),
            ("lr", "learning rate"),
            ("images_per_second", "speed/images per second"),
        ):
            if epoch.get(name) is not None:
                self._writer.add_scalar(tag, epoch[name], epoch["epoch"])

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


def read_history(run: Path) -> list[Epoch]:
    """Return the epochs of a run folder; a last line that was cut short is left out."""
    file = run / "history.jsonl"
    if not file.is_file():
        return []
    epochs = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            epochs.append(json.loads(line))
        except ValueError:  # the process was killed while it wrote this line
            break
    return epochs


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


def _line(epoch: Epoch) -> str:
    return json.dumps(epoch) + "\n"
