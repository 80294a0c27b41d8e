"""What a run folder holds after a training."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import paddle
import pytest
from conftest import draw_photo
from PIL import Image
from tiny_runs import BEST, LAST, TINY, history, metrics, weight_files
from visualdl import LogReader

from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.config import load_config
from paddle_wrn.models.weight_files import read_weights
from paddle_wrn.photos.lists import read_classes, read_data_folder
from paddle_wrn.photos.loading import load_photos, measure_mean_std
from paddle_wrn.photos.preprocessing import Preprocessing
from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.runs.run_folder import RunFolder
from paddle_wrn.training.optimization import learning_rate
from paddle_wrn.training.session import train


def test_config_reads_back_equal(finished_run: Path, data_folder: Path) -> None:
    assert load_config(finished_run / "config.yaml") == load_config(None, TINY | {"data": str(data_folder)})


def test_classes_are_those_of_the_lists(finished_run: Path, data_folder: Path) -> None:
    assert read_classes(finished_run / "classes.txt") == read_classes(data_folder / "classes.txt")


def test_preprocessing_is_that_of_the_checkpoint_and_measured_on_the_training_photos(
    finished_run: Path, data_folder: Path
) -> None:
    stored = Preprocessing.model_validate_json((finished_run / "preprocessing.json").read_text("utf-8"))
    assert stored == load_classifier(finished_run).preprocessing
    photos = load_photos(read_data_folder(data_folder).train, 16, draft=True)
    assert (stored.mean, stored.std) == measure_mean_std(photos.images)
    assert stored.display_names == ("蓝圆", "Green", "Red Triangle")
    assert (stored.mirror, stored.draft) == (True, True)


def test_history_has_a_line_an_epoch(finished_run: Path) -> None:
    epochs = history(finished_run)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    names = ["epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc", "images_per_second", "seconds"]
    assert all(list(epoch) == names for epoch in epochs)
    config = load_config(finished_run / "config.yaml")
    last_steps = [epoch - 0.125 for epoch in (1, 2, 3)]  # the middle of the last of four steps
    expected = [learning_rate(config.schedule, config.optimizer.lr, moment, 3) for moment in last_steps]
    assert [epoch["lr"] for epoch in epochs] == pytest.approx(expected)


def test_metrics_are_what_the_kept_network_says_photo_by_photo(finished_run: Path, data_folder: Path) -> None:
    stored = metrics(finished_run)
    classifier = load_classifier(finished_run)
    for split in ("val", "test"):
        listed = read_data_folder(data_folder).split(split)
        confusion = np.zeros((3, 3), int)
        for path, label in zip(listed.paths, listed.labels, strict=True):
            said = classifier.logits(classifier.preprocessing.load(path)[None]).argmax()
            confusion[label, said] += 1
        assert stored[split]["confusion"] == confusion.tolist()
        assert stored[split]["correct"] == confusion.trace()
        assert stored[split]["accuracy"] == confusion.trace() / 6
        assert stored[split]["images"] == 6


def test_metrics_name_the_kept_epoch_and_the_circumstances(finished_run: Path) -> None:
    stored = metrics(finished_run)
    best = max(history(finished_run), key=lambda epoch: (epoch["val_acc"], epoch["epoch"]))
    assert stored["kept_epoch"] == best["epoch"]
    assert stored["val"]["accuracy"] == best["val_acc"]
    assert stored["val"]["calibration"]["loss_uncalibrated"] == pytest.approx(best["val_loss"], rel=1e-5)
    assert (stored["epochs"], stored["seed"], stored["parameters"]) == (3, 0, 77_395)
    assert stored["versions"]["paddle"] == paddle.__version__


def test_train_returns_what_metrics_json_holds(data_folder: Path, tmp_path: Path, no_figures: None) -> None:
    results = train(data=data_folder, output=tmp_path / "run", settings=TINY | {"epochs": 1})
    assert metrics(tmp_path / "run") == results.plain()


def test_test_predictions_are_what_the_kept_network_says(finished_run: Path, data_folder: Path) -> None:
    with (finished_run / "test_predictions.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "class", "predicted", "probability", "sure"]
    listed = (data_folder / "test.txt").read_text("utf-8").splitlines()
    assert [row[0] for row in rows] == [line.rpartition(" ")[0] for line in listed]
    classifier = load_classifier(finished_run)
    names = classifier.preprocessing.classes
    assert [row[1] for row in rows] == [names[int(line[-1])] for line in listed]
    for path, _, predicted, probability, sure in rows:
        said = classifier.probabilities(classifier.preprocessing.load(data_folder / path)[None])
        assert predicted == names[said.argmax()]
        assert float(probability) == pytest.approx(said.max(), abs=1e-5)
        assert sure == ("yes" if classifier.calibration.sure(said)[0] else "no")


def test_paths_of_test_predictions_begin_at_the_lists(
    own_lists: Path, tmp_path: Path, no_figures: None
) -> None:
    inside = own_lists / "in, side.jpg"
    draw_photo(1, np.random.default_rng(0)).save(inside)
    first = (own_lists / "test.txt").read_text("utf-8").splitlines()[0]
    lines = [first, f"{inside} 1", "in, side.jpg 1"]
    (own_lists / "test.txt").write_text("\n".join(lines), "utf-8")
    train(data=own_lists, output=tmp_path / "run", settings=TINY | {"epochs": 1})
    rows = RunFolder(tmp_path / "run").answers()
    assert [row.path for row in rows] == [first.rpartition(" ")[0], "in, side.jpg", "in, side.jpg"]


def test_checkpoints_are_a_model_and_a_training_state(finished_run: Path) -> None:
    weights, record = load_checkpoint(finished_run / BEST, "model")
    assert record["model"] == {"name": "wrn_10_1", "options": {"strides": [2, 1, 2, 2]}}
    state, record = load_checkpoint(finished_run / LAST, "training")
    assert record["progress"]["epoch"] == 3
    assert {f"model/{name}" for name in weights} <= state.keys()
    assert {name.partition("/")[0] for name in state} == {"model", "optimizer"}
    assert sorted(path.name for path in (finished_run / "checkpoints").iterdir()) == [
        *("best.safetensors", "last.safetensors", "previous.safetensors")
    ]


def test_pdparams_holds_the_kept_weights_for_paddle_and_for_us(finished_run: Path) -> None:
    best = load_checkpoint(finished_run / BEST, "model")[0]
    ours = read_weights(finished_run / "model.pdparams")
    paddles = paddle.load(str(finished_run / "model.pdparams"))
    assert best.keys() == ours.keys() == paddles.keys()
    for name, weights in best.items():
        np.testing.assert_array_equal(weights, ours[name])
        np.testing.assert_array_equal(weights, paddles[name].numpy())


def test_log_introduces_and_tells_every_epoch(finished_run: Path) -> None:
    log = (finished_run / "train.log").read_text("utf-8")
    for needed in ("device    cpu", "24 train, 6 val, 6 test photos, 3 classes", "77,395 parameters"):
        assert needed in log
    assert len(re.findall(r"epoch \d/3  lr ", log)) == 3
    assert f"python -m paddle_wrn.board {finished_run}" in log
    assert "77,395 parameters" in (finished_run / "model.txt").read_text("utf-8")


def test_pictures_are_whole(finished_run: Path) -> None:
    for name in ("curves.png", "confusion_matrix.png", "precision_recall.png", "reliability.png"):
        with Image.open(finished_run / name) as picture:
            picture.load()
            assert min(picture.size) > 200


def visualdl_reader(run: Path) -> LogReader:
    (records,) = (run / "visualdl").glob("vdlrecords*")
    return LogReader(file_path=str(records))


def test_visualdl_holds_the_scalars_of_the_history(finished_run: Path) -> None:
    reader = visualdl_reader(finished_run)
    for tag, name in (
        ("loss/train", "train_loss"),
        ("loss/val", "val_loss"),
        ("accuracy/train", "train_acc"),
        ("accuracy/val", "val_acc"),
        ("learning rate", "lr"),
    ):
        records = reader.get_data("scalar", tag)
        assert [(record.id, record.value) for record in records] == [
            (epoch["epoch"], pytest.approx(epoch[name], rel=1e-6)) for epoch in history(finished_run)
        ]


def test_visualdl_holds_a_grid_of_augmented_photos_and_histograms(finished_run: Path) -> None:
    reader = visualdl_reader(finished_run)
    (grid,) = reader.get_data("image", "augmented training photos")
    assert len(grid.image.encoded_image_string) > 1000
    kept = metrics(finished_run)["kept_epoch"]
    for name in ("confusion matrix", "precision recall", "reliability"):  # VisualDL draws none of them
        assert [record.id for record in reader.get_data("image", name)] == [kept]
    histograms = reader.get_data("histogram", "conv1.weight")
    assert [record.id for record in histograms] == [1, 2, 3]


def test_the_graph_for_visualdl_changes_nothing(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    settings = TINY | {"model.options.drop_rate": 0.5}
    train(data=data_folder, output=tmp_path / "with", settings=settings)
    monkeypatch.setattr("paddle_wrn.training.visual_records.VisualRecords.add_graph", lambda *_: None)
    train(data=data_folder, output=tmp_path / "without", settings=settings)
    assert weight_files(tmp_path / "with") == weight_files(tmp_path / "without")
    graph = json.loads((tmp_path / "with" / "visualdl" / "vdlgraph.paddle_wrn.log").read_text("utf-8"))
    assert [node["type"] for node in graph["nodes"]].count("conv2d") == 9


def test_a_relative_run_folder_holds_everything(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    monkeypatch.chdir(tmp_path)
    train(data=data_folder, output="my run", settings=TINY | {"epochs": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["my run"]
    assert visualdl_reader(tmp_path / "my run").get_data("scalar", "loss/train")


def test_the_run_is_named_after_data_and_configuration(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(None, TINY | {"epochs": 1})
    Path("quick.yaml").write_text(config.to_yaml(), "utf-8")
    train("quick.yaml", data=data_folder)
    assert (tmp_path / "runs" / "lists-quick" / "metrics.json").is_file()
