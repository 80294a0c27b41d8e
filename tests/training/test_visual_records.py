"""Tests of what VisualDL shows of a run."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn
from PIL import Image
from visualdl import LogReader
from visualdl.reader.graph_reader import GraphReader

from paddle_wrn.models import create_model
from paddle_wrn.runs.epochs import Epoch
from paddle_wrn.training.visual_records import VisualRecords, computation_graph


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the records go."""
    return tmp_path / "visualdl"


def epoch(number: int, **changes: Any) -> Epoch:
    figures = {"lr": 0.1, "train_loss": 1 / number, "train_acc": 0.5, "val_loss": 0.25, "val_acc": 0.75}
    return Epoch(**{"epoch": number, **figures, "images_per_second": 100.0, "seconds": 2.0} | changes)


def test_scalars_pictures_and_histograms_reach_visualdl(folder: Path) -> None:
    visual = VisualRecords(folder)
    visual.add_epoch(epoch(1))
    visual.add_epoch(epoch(2, val_loss=None, val_acc=None))
    visual.add_image("photos", np.zeros((4, 6, 3), np.uint8), 0)
    visual.add_histograms({"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.ones(3, np.float32)}, 1)
    visual.close()

    (file,) = folder.iterdir()
    reader = LogReader(file_path=str(file))
    tags = reader.get_tags()
    assert set(tags["scalar"]) == {
        *("loss/train", "loss/val", "accuracy/train", "accuracy/val"),
        *("learning rate", "speed/images per second"),
    }
    loss = reader.get_data("scalar", "loss/train")
    assert [(record.id, record.value) for record in loss] == [(1, 1.0), (2, 0.5)]
    first = {tag: reader.get_data("scalar", tag)[0].value for tag in tags["scalar"]}
    assert (first["accuracy/train"], first["accuracy/val"], first["loss/val"]) == (0.5, 0.75, 0.25)
    assert (first["learning rate"], first["speed/images per second"]) == (pytest.approx(0.1), 100)
    assert [record.id for record in reader.get_data("scalar", "accuracy/val")] == [1]
    assert tags["image"] == ["photos"]
    assert tags["histogram"] == ["fc.weight"]


def test_a_picture_is_shown_under_the_name_of_its_file(tmp_path: Path, folder: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(drawn).convert("RGBA").save(tmp_path / "confusion_matrix.png")
    visual = VisualRecords(folder)
    visual.add_picture(tmp_path / "confusion_matrix.png", 4)
    visual.close()

    (file,) = folder.iterdir()
    (record,) = LogReader(file_path=str(file)).get_data("image", "confusion matrix")
    assert record.id == 4
    with Image.open(io.BytesIO(record.image.encoded_image_string)) as shown:
        np.testing.assert_array_equal(np.asarray(shown), drawn)


@pytest.mark.parametrize("training", [True, False])
def test_the_graph_holds_every_operation_and_leaves_the_network_alone(training: bool) -> None:
    paddle.seed(7)
    model = create_model("wrn_10_1", 3, drop_rate=0.3)
    model.train() if training else model.eval()
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    random_state = paddle.get_rng_state()
    expected = paddle.rand([4]).numpy()
    paddle.set_rng_state(random_state)

    graph = computation_graph(model, (3, 16, 16))

    np.testing.assert_array_equal(paddle.rand([4]).numpy(), expected)
    assert paddle.in_dynamic_mode()
    assert all(layer.training is training for layer in model.sublayers(include_self=True))
    assert not any(layer._forward_pre_hooks or layer._forward_post_hooks for layer in model.sublayers())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    model(paddle.zeros([1, 3, 16, 16])).sum().backward()

    convolutions = [layer for layer in model.sublayers() if isinstance(layer, nn.Conv2D)]
    operations = [node for node in graph["nodes"] if node["is_leaf_node"]]
    assert sum(node["type"] == "conv2d" for node in operations) == len(convolutions) == 9
    assert any("NetworkBlock[group2]" in node["name"] for node in operations)
    assert not any("op_callstack" in node["attrs"] for node in operations)  # paths of the user's computer


def test_visualdl_reads_the_graph(folder: Path) -> None:
    visual = VisualRecords(folder)
    visual.add_graph(create_model("wrn_10_1", 3), (3, 16, 16))
    visual.close()
    reader = GraphReader(str(folder))
    (run,) = reader.runs()
    shown = {node.type for node in reader.get_graph(run).nodes}
    assert len([kind for kind in shown if kind.startswith("NetworkBlock")]) >= 1
    everything = reader.get_graph(run, expand_all=True)
    assert sum(node.type == "conv2d" for node in everything.nodes) == 9


class Untraceable(nn.Layer):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.to_tensor(x.numpy())


def test_a_network_that_cannot_be_traced_is_trained_without_a_graph(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    visual = VisualRecords(folder)
    visual.add_graph(Untraceable(), (3, 16, 16))
    visual.close()
    assert "no graph for VisualDL (" in caplog.text
    assert paddle.in_dynamic_mode()
    assert [file.name for file in folder.iterdir()] == ["vdlrecords.paddle_wrn.log"]
