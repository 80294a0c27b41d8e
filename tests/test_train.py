"""Training: what a run folder holds, that it learns, that it repeats itself and what it refuses."""

import csv
import json
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest
from conftest import RunMain, draw_photo
from PIL import Image
from rounding import logit_rounding
from visualdl import LogReader

from paddle_wrn import inference, loop
from paddle_wrn.calibration import Calibration
from paddle_wrn.checkpoint import load_checkpoint, read_weights
from paddle_wrn.config import load_config
from paddle_wrn.data import load_photos, measure_mean_std
from paddle_wrn.errors import UserError
from paddle_wrn.inference import load_classifier
from paddle_wrn.lists import read_classes, read_data_folder
from paddle_wrn.models import create_model
from paddle_wrn.optimization import learning_rate
from paddle_wrn.preprocessing import Preprocessing
from paddle_wrn.run_folder import read_predictions
from paddle_wrn.train import main, train

# 24 training photos: three steps of 7 and one of 3 an epoch
TINY: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 7,
    "drop_last": False,
    "model.name": "wrn_10_1",
    "model.options": {"strides": [2, 1, 2, 2]},
    "input.size": 16,
    "augment.crop_size": None,
    "schedule.warmup": 0.0,
}
BEST = "checkpoints/best.safetensors"
LAST = "checkpoints/last.safetensors"


@pytest.fixture(scope="module")
def run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run; tests only read it."""
    folder = tmp_path_factory.mktemp("train") / "runs" / "tiny"
    train(data=data_folder, output=folder, settings=TINY)
    return folder


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which takes longer than a tiny training."""
    monkeypatch.setattr("paddle_wrn.plots.save", lambda figure, path: None)


@pytest.fixture
def own_lists(data_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the lists that a test may change."""
    lists = tmp_path / "lists"
    shutil.copytree(data_folder, lists)
    for name in ("train", "val", "test"):
        text = (lists / f"{name}.txt").read_text("utf-8")
        text = text.replace("../photos", str(data_folder.parent / "photos"))
        (lists / f"{name}.txt").write_text(text, "utf-8")
    return lists


def read_history(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "history.jsonl").read_text("utf-8").splitlines()]


def words(settings: dict[str, Any]) -> list[str]:
    """Return settings as a command line has them."""
    return [word for name, value in settings.items() for word in (f"--{name}", json.dumps(value))]


# What a run folder holds


def test_config_reads_back_equal(run: Path, data_folder: Path) -> None:
    assert load_config(run / "config.yaml") == load_config(None, TINY | {"data": str(data_folder)})


def test_config_with_a_tuple_reads_back_equal(tmp_path: Path) -> None:
    config = load_config(None, {"model.options": {"strides": (2, 2, 2, 2)}})
    (tmp_path / "config.yaml").write_text(config.to_yaml(), "utf-8")
    assert load_config(tmp_path / "config.yaml") == config


def test_classes_are_those_of_the_lists(run: Path, data_folder: Path) -> None:
    assert read_classes(run / "classes.txt") == read_classes(data_folder / "classes.txt")


def test_preprocessing_is_that_of_the_checkpoint_and_measured_on_the_training_photos(
    run: Path, data_folder: Path
) -> None:
    stored = Preprocessing.model_validate_json((run / "preprocessing.json").read_text("utf-8"))
    assert stored == load_classifier(run).preprocessing
    photos = load_photos(read_data_folder(data_folder).train, 16, draft=True)
    assert (stored.mean, stored.std) == measure_mean_std(photos.images)
    assert stored.display_names == ("蓝圆", "Green", "Red Triangle")
    assert (stored.mirror, stored.draft) == (True, True)


def test_mirroring_decides_over_answers_and_not_over_weights(
    data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    last = {"selection": "last", "epochs": 1, "schedule.name": "constant"}
    for mirror in (True, False):
        train(
            data=data_folder, output=tmp_path / str(mirror), settings=TINY | last | {"input.mirror": mirror}
        )
    ours, theirs = load_classifier(tmp_path / "True"), load_classifier(tmp_path / "False")
    assert (ours.preprocessing.mirror, theirs.preprocessing.mirror) == (True, False)
    (first,), (second,) = read_history(tmp_path / "True"), read_history(tmp_path / "False")
    assert first["train_loss"] == second["train_loss"]
    assert first["val_loss"] != second["val_loss"]
    assert weight_files(tmp_path / "True")[1] == weight_files(tmp_path / "False")[1]


def test_history_has_a_line_an_epoch(run: Path) -> None:
    history = read_history(run)
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    names = {"epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc", "images_per_second", "seconds"}
    assert all(epoch.keys() == names for epoch in history)
    config = load_config(run / "config.yaml")
    last_steps = [epoch - 0.125 for epoch in (1, 2, 3)]  # the middle of the last of four steps
    expected = [learning_rate(config.schedule, config.optimizer.lr, moment, 3) for moment in last_steps]
    assert [epoch["lr"] for epoch in history] == pytest.approx(expected)


def test_metrics_are_what_the_kept_network_says_photo_by_photo(run: Path, data_folder: Path) -> None:
    stored = json.loads((run / "metrics.json").read_text("utf-8"))
    classifier = load_classifier(run)
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


def val_rounding(run: Path, data_folder: Path) -> float:
    """Return how far apart rounding may put two logits of a validation photo, without calibration."""
    classifier = replace(load_classifier(run), calibration=Calibration())
    return logit_rounding(classifier, load_photos(read_data_folder(data_folder).val, 16, draft=True).images)


def test_metrics_name_the_kept_epoch_and_the_circumstances(run: Path, data_folder: Path) -> None:
    stored = json.loads((run / "metrics.json").read_text("utf-8"))
    best = max(read_history(run), key=lambda epoch: (epoch["val_acc"], epoch["epoch"]))
    off = 2 * val_rounding(run, data_folder)
    assert stored["kept_epoch"] == best["epoch"]
    assert stored["val"]["accuracy"] == best["val_acc"]
    assert stored["val"]["calibration"]["loss_uncalibrated"] == pytest.approx(best["val_loss"], abs=off)
    assert (stored["epochs"], stored["seed"], stored["parameters"]) == (3, 0, 77_395)
    assert stored["versions"]["paddle"] == paddle.__version__


def test_train_returns_what_metrics_json_holds(data_folder: Path, tmp_path: Path, no_figures: None) -> None:
    results = train(data=data_folder, output=tmp_path / "run", settings=TINY | {"epochs": 1})
    assert json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8")) == results


def test_test_predictions_are_what_the_kept_network_says(run: Path, data_folder: Path) -> None:
    with (run / "test_predictions.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "class", "predicted", "probability", "sure"]
    listed = (data_folder / "test.txt").read_text("utf-8").splitlines()
    assert [row[0] for row in rows] == [line.rpartition(" ")[0] for line in listed]
    classifier = load_classifier(run)
    names = classifier.preprocessing.classes
    assert [row[1] for row in rows] == [names[int(line[-1])] for line in listed]
    for path, _, predicted, probability, sure in rows:
        said = classifier.probabilities(classifier.preprocessing.load(data_folder / path)[None])
        assert predicted == names[said.argmax()]
        off = logit_rounding(classifier, classifier.preprocessing.load(data_folder / path)[None]) / 2
        assert float(probability) == pytest.approx(said.max(), abs=off + 1e-6)  # six digits are written
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
    rows = read_predictions(tmp_path / "run")
    assert [row["path"] for row in rows] == [first.rpartition(" ")[0], "in, side.jpg", "in, side.jpg"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"path,class\na.jpg,b\n", "not what training wrote"),
        (b"path,class,predicted,probability\na.jpg,b\n", "not what training wrote"),
        (b"path,class,predicted,probability\n\xff\n", "not a CSV file"),
    ],
    ids=["missing", "other columns", "short line", "not UTF-8"],
)
def test_predictions_that_cannot_be_read_are_a_sentence(
    content: bytes | None, complaint: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "test_predictions.csv").write_bytes(content)
    with pytest.raises(UserError, match=f"test_predictions.csv: {complaint}.*--again"):
        read_predictions(tmp_path)


def test_checkpoints_are_a_model_and_a_training_state(run: Path) -> None:
    weights, record = load_checkpoint(run / BEST, "model")
    assert record["model"] == {"name": "wrn_10_1", "options": {"strides": [2, 1, 2, 2]}}
    state, record = load_checkpoint(run / LAST, "training")
    assert record["progress"]["epoch"] == 3
    assert {f"model/{name}" for name in weights} <= state.keys()
    assert {name.partition("/")[0] for name in state} == {"model", "optimizer"}
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        *("best.safetensors", "last.safetensors", "previous.safetensors")
    ]


def test_pdparams_holds_the_kept_weights_for_paddle_and_for_us(run: Path) -> None:
    best = load_checkpoint(run / BEST, "model")[0]
    ours = read_weights(run / "model.pdparams")
    paddles = paddle.load(str(run / "model.pdparams"))
    assert best.keys() == ours.keys() == paddles.keys()
    for name, weights in best.items():
        np.testing.assert_array_equal(weights, ours[name])
        np.testing.assert_array_equal(weights, paddles[name].numpy())


def test_log_introduces_and_tells_every_epoch(run: Path) -> None:
    log = (run / "train.log").read_text("utf-8")
    for needed in ("device    cpu", "24 train, 6 val, 6 test photos, 3 classes", "77,395 parameters"):
        assert needed in log
    assert len(re.findall(r"epoch \d/3  lr ", log)) == 3
    assert f"python -m paddle_wrn.board {run}" in log
    assert "77,395 parameters" in (run / "model.txt").read_text("utf-8")


def test_pictures_are_whole(run: Path) -> None:
    for name in ("curves.png", "confusion_matrix.png", "precision_recall.png", "reliability.png"):
        with Image.open(run / name) as picture:
            picture.load()
            assert min(picture.size) > 200


def visualdl_reader(run: Path) -> LogReader:
    (records,) = (run / "visualdl").glob("vdlrecords*")
    return LogReader(file_path=str(records))


def test_visualdl_holds_the_scalars_of_the_history(run: Path) -> None:
    reader = visualdl_reader(run)
    for tag, name in (
        ("loss/train", "train_loss"),
        ("loss/val", "val_loss"),
        ("accuracy/train", "train_acc"),
        ("accuracy/val", "val_acc"),
        ("learning rate", "lr"),
    ):
        records = reader.get_data("scalar", tag)
        assert [(record.id, record.value) for record in records] == [
            (epoch["epoch"], pytest.approx(epoch[name], rel=1e-6)) for epoch in read_history(run)
        ]


def test_visualdl_holds_a_grid_of_augmented_photos_and_histograms(run: Path) -> None:
    reader = visualdl_reader(run)
    (grid,) = reader.get_data("image", "augmented training photos")
    assert len(grid.image.encoded_image_string) > 1000
    kept = json.loads((run / "metrics.json").read_text("utf-8"))["kept_epoch"]
    for name in ("confusion matrix", "precision recall", "reliability"):  # VisualDL draws none of them
        assert [record.id for record in reader.get_data("image", name)] == [kept]
    histograms = reader.get_data("histogram", "conv1.weight")
    assert [record.id for record in histograms] == [1, 2, 3]


def test_the_graph_for_visualdl_changes_nothing(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    settings = TINY | {"model.options.drop_rate": 0.5}
    train(data=data_folder, output=tmp_path / "with", settings=settings)
    monkeypatch.setattr("paddle_wrn.history.History.add_graph", lambda *_: None)
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


# Learning


@pytest.mark.parametrize("optimizer", [("sgd", 0.1), ("adam", 0.01), ("adamw", 0.01)], ids=lambda o: o[0])
def test_learns_to_tell_the_shapes_apart(
    optimizer: tuple[str, float], data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    name, lr = optimizer
    changes = {"epochs": 15, "optimizer.name": name, "optimizer.lr": lr}
    results = train(data=data_folder, output=tmp_path / "run", settings=TINY | changes)
    losses = [epoch["train_loss"] for epoch in read_history(tmp_path / "run")]
    assert losses[-1] < 0.7 * losses[0]
    assert results["val"]["accuracy"] >= 5 / 6
    assert results["test"]["accuracy"] >= 5 / 6


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [7, 7, 7, 3]), (True, [7, 7, 7])])
def test_training_accuracy_and_loss_are_over_photos_not_over_batches(
    drop_last: bool,
    sizes: list[int],
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_figures: None,
) -> None:
    batches = []
    loss_of = loop.F.cross_entropy

    def spy(logits: paddle.Tensor, labels: paddle.Tensor, **options: Any) -> paddle.Tensor:
        loss = loss_of(logits, labels, **options)
        right = (logits.numpy().argmax(1) == labels.numpy()).sum()
        batches.append((len(labels), float(loss), int(right)))
        return loss

    monkeypatch.setattr(loop.F, "cross_entropy", spy)
    settings = TINY | {"epochs": 1, "drop_last": drop_last, "schedule.name": "constant"}
    train(data=data_folder, output=tmp_path / "run", settings=settings)
    (epoch,) = read_history(tmp_path / "run")
    assert [count for count, _, _ in batches] == sizes
    assert epoch["train_loss"] == pytest.approx(sum(n * loss for n, loss, _ in batches) / sum(sizes))
    assert epoch["train_acc"] == sum(right for _, _, right in batches) / sum(sizes)


def test_the_schedule_knows_of_the_steps_that_are_left_out(
    data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    train(data=data_folder, output=tmp_path / "run", settings=TINY | {"drop_last": True})
    config = load_config(tmp_path / "run" / "config.yaml")
    last_steps = [epoch - 1 / 6 for epoch in (1, 2, 3)]  # the middle of the last of three steps
    expected = [learning_rate(config.schedule, config.optimizer.lr, moment, 3) for moment in last_steps]
    assert [epoch["lr"] for epoch in read_history(tmp_path / "run")] == pytest.approx(expected)


def test_a_remainder_batch_counts_like_the_others_in_validation(
    run: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    monkeypatch.setattr(inference, "BATCH_SIZE", 4)  # 6 photos: 4 and 2
    train(data=data_folder, output=tmp_path / "run", settings=TINY)
    off = 2 * val_rounding(run, data_folder)
    for ours, theirs in zip(read_history(tmp_path / "run"), read_history(run), strict=True):
        assert ours["val_acc"] == theirs["val_acc"]
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], abs=off)


# The same bytes


def weight_files(run: Path) -> tuple[bytes, bytes]:
    return (run / BEST).read_bytes(), (run / "model.pdparams").read_bytes()


def test_the_same_seed_gives_the_same_bytes_whatever_the_process_did_before(
    run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    create_model("wrn_10_1", 5)
    np.random.rand(3)
    paddle.seed(99)
    paddle.rand([3])
    train(data=data_folder, output=tmp_path / "again", settings=TINY)
    assert weight_files(tmp_path / "again") == weight_files(run)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"optimizer.name": "adam"}, {"optimizer.name": "adamw"}, {"drop_last": True},
     {"model.options.drop_rate": 0.5}, {"augment.flip_horizontal": 0.0}, {"label_smoothing": 0.0}],
    ids=str,
)  # fmt: skip
def test_another_setting_gives_other_weights_and_the_same_ones_twice(
    changes: dict[str, Any], run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    for name in ("one", "two"):
        settings = TINY | {"selection": "last"} | changes
        train(data=data_folder, output=tmp_path / name, settings=settings)
    assert weight_files(tmp_path / "one") == weight_files(tmp_path / "two")
    last = load_checkpoint(run / LAST, "training")[0]
    changed = load_checkpoint(tmp_path / "one" / BEST, "model")[0]
    assert not np.array_equal(changed["fc.weight"], last["model/fc.weight"])


def test_the_test_photos_choose_nothing(run: Path, own_lists: Path, tmp_path: Path, no_figures: None) -> None:
    lines = (own_lists / "test.txt").read_text("utf-8").splitlines()
    moved = [f"{line[:-1]}{(int(line[-1]) + 1) % 3}\n" for line in lines]
    (own_lists / "test.txt").write_text("".join(moved), "utf-8")
    results = train(data=own_lists, output=tmp_path / "run", settings=TINY)
    assert weight_files(tmp_path / "run") == weight_files(run)
    before = json.loads((run / "metrics.json").read_text("utf-8"))
    assert results["test"]["confusion"] != before["test"]["confusion"]
    assert results["val"] == before["val"]


def test_without_test_photos_nothing_is_scored_on_them(
    run: Path, own_lists: Path, tmp_path: Path, no_figures: None
) -> None:
    (own_lists / "test.txt").unlink()
    results = train(data=own_lists, output=tmp_path / "run", settings=TINY)
    assert "test" not in results
    assert weight_files(tmp_path / "run") == weight_files(run)


def test_mixed_precision_does_nothing_on_the_processor_and_says_so(
    run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    train(data=data_folder, output=tmp_path / "run", settings=TINY | {"amp": True})
    assert weight_files(tmp_path / "run")[1] == weight_files(run)[1]
    assert "mixed precision does nothing on the processor" in (tmp_path / "run/train.log").read_text("utf-8")


def test_trains_outside_the_main_thread(
    run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    work = threading.Thread(
        target=train, kwargs={"data": data_folder, "output": tmp_path / "run", "settings": TINY}
    )
    work.start()
    work.join()
    assert weight_files(tmp_path / "run") == weight_files(run)


# Which epoch is kept


@pytest.mark.parametrize(
    ("accuracies", "losses", "selection", "kept"),
    [
        ([0.5, 0.7, 0.6], [1.0, 2.0, 0.5], "best", 2),
        ([0.7, 0.7, 0.6], [0.5, 2.0, 0.1], "best", 2),
        ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], "best", 3),
        ([0.9, 0.5, 0.5], [0.1, 1.0, 1.0], "last", 3),
    ],
    ids=["accuracy", "the latest of equals", "all are equal", "last"],
)
def test_the_kept_epoch(
    accuracies: list[float],
    losses: list[float],
    selection: str,
    kept: int,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_figures: None,
) -> None:
    steady = TINY | {"schedule.name": "constant"}  # so that shorter runs are beginnings of longer ones
    train(
        data=data_folder, output=tmp_path / "short", settings=steady | {"epochs": kept, "selection": "last"}
    )
    left, left_losses = iter(accuracies), iter(losses)
    stand_in = SimpleNamespace(accuracy=lambda *_: next(left), cross_entropy=lambda *_: next(left_losses))
    monkeypatch.setattr(loop, "metrics", stand_in)
    results = train(data=data_folder, output=tmp_path / "run", settings=steady | {"selection": selection})
    assert results["kept_epoch"] == kept
    assert weight_files(tmp_path / "run")[1] == weight_files(tmp_path / "short")[1]


def test_without_validation_photos_the_last_epoch_is_kept(
    own_lists: Path, tmp_path: Path, no_figures: None
) -> None:
    (own_lists / "val.txt").unlink()
    results = train(data=own_lists, output=tmp_path / "run", settings=TINY)
    assert results["kept_epoch"] == 3
    assert "val" not in results
    assert [epoch["val_acc"] for epoch in read_history(tmp_path / "run")] == [None] * 3
    last = load_checkpoint(tmp_path / "run" / LAST, "training")[0]
    for name, weights in load_checkpoint(tmp_path / "run" / BEST, "model")[0].items():
        np.testing.assert_array_equal(weights, last[f"model/{name}"])


def test_settings_are_left_as_they_were_given() -> None:
    options = {"strides": [2, 1, 2, 2]}
    config = load_config(None, {"model.options": options, "model.options.drop_rate": 0.5})
    assert config.model.options == {"strides": [2, 1, 2, 2], "drop_rate": 0.5}
    assert options == {"strides": [2, 1, 2, 2]}


# Weights to start from


@pytest.mark.parametrize("file", [BEST, "model.pdparams"])
def test_starts_from_given_weights(
    file: str, run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    still = {"epochs": 1, "optimizer.lr": 1e-20, "selection": "last", "model.weights": str(run / file)}
    train(data=data_folder, output=tmp_path / "run", settings=TINY | still)
    ours = load_checkpoint(tmp_path / "run" / BEST, "model")[0]
    for name, weights in load_checkpoint(run / BEST, "model")[0].items():
        if not name.endswith(("_mean", "_variance")):  # running statistics move without a step
            np.testing.assert_array_equal(ours[name], weights)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model.weights": "gone.pdparams"}, "gone.pdparams: no such file"),
        ({"model.weights": "{run}/config.yaml"}, "weights are .safetensors or .pdparams files"),
        ({"model.weights": "{run}/model.pdparams", "model.name": "wrn_16_1"}, "weights of another network"),
    ],
)
def test_refuses_other_weights(
    changes: dict[str, str], complaint: str, run: Path, data_folder: Path, tmp_path: Path
) -> None:
    changes = {name: value.format(run=run) for name, value in changes.items()}
    with pytest.raises(UserError, match=re.escape(complaint)):
        train(data=data_folder, output=tmp_path / "run", settings=TINY | changes)
    assert not (tmp_path / "run").exists()


# The command


def test_command_reads_file_and_settings(
    data_folder: Path, tmp_path: Path, run_main: RunMain, no_figures: None
) -> None:
    (tmp_path / "my.yaml").write_text(load_config(None, TINY).to_yaml(), "utf-8")
    args = ("--config", tmp_path / "my.yaml", "--data", data_folder, "--output", tmp_path / "run")
    outcome = run_main(main, *args, "--epochs", 1, "--optimizer.lr=5e-2")
    assert outcome.code == 0
    config = load_config(tmp_path / "run" / "config.yaml")
    assert (config.epochs, config.optimizer.lr, config.batch_size) == (1, 0.05, 7)
    assert "test      accuracy" in outcome.out
    assert f"python -m paddle_wrn.predict {tmp_path / 'run'} PHOTO" in outcome.out


def broken_photo(lists: Path) -> None:
    (lists / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    with (lists / "train.txt").open("a", encoding="utf-8") as file:
        file.write("broken.jpg 0\n")


def one_class(lists: Path) -> None:
    for name in ("train", "val", "test"):
        lines = (lists / f"{name}.txt").read_text("utf-8").splitlines()
        kept = [f"{line}\n" for line in lines if line.endswith(" 0")]
        (lists / f"{name}.txt").write_text("".join(kept), "utf-8")
    (lists / "classes.txt").write_text("Blue Disc\n", "utf-8")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (shutil.rmtree, "no such folder"),
        (lambda lists: (lists / "train.txt").unlink(), "train.txt is missing"),
        (lambda lists: (lists / "train.txt").write_text("", "utf-8"), "the list is empty"),
        (lambda lists: (lists / "val.txt").write_text("gone.jpg 0\n", "utf-8"), "val.txt, line 1"),
        (lambda lists: (lists / "val.txt").write_text("a.jpg 7\n", "utf-8"), "label 7"),
        (lambda lists: (lists / "val.txt").write_text("a.jpg\n", "utf-8"), "`path label` is needed"),
        (broken_photo, "train.txt, line 25"),
        (one_class, "one class only"),
    ],
)  # fmt: skip
def test_refuses_bad_lists_and_leaves_nothing(
    spoil: Any, complaint: str, own_lists: Path, tmp_path: Path, run_main: RunMain
) -> None:
    spoil(own_lists)
    outcome = run_main(main, "--data", own_lists, "--output", tmp_path / "run", *words(TINY))
    assert outcome.code == 2
    assert complaint in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("model.options.depth", 16, "wrn_10_1 has no such option"),
        ("model.name", "wrn_29_1", "depth: found 29"),
        ("model.name", "resnet", "model.name: found 'resnet'; the nearest networks are"),
        ("batch_size", 0, "batch_size: found 0"),
        ("epochs", "many", "epochs: found 'many'"),
        ("optimizer.lrr", 1, "did you mean optimizer.lr?"),
        ("device", "gpu", "device gpu: "),
        ("device", "tpu", "choose auto, cpu, gpu or gpu:N"),
    ],
)  # fmt: skip
def test_refuses_bad_settings_and_leaves_nothing(
    name: str, value: object, complaint: str, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    settings = TINY | {name: value}
    outcome = run_main(main, "--data", data_folder, "--output", tmp_path / "run", *words(settings))
    assert outcome.code == 2
    assert complaint in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda run: run.write_text("x"), "is a file; --output must name a folder"),
        (lambda run: (run.mkdir(), (run / "thesis.txt").touch()), "holds other files"),
        (lambda run: run.parent.rmdir() or run.parent.write_text("x"), "a part of this path is a file"),
    ],
    ids=["file", "other files", "parent is a file"],
)
def test_refuses_an_unfit_output(
    make: Any, complaint: str, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    output = tmp_path / "parent" / "run"
    output.parent.mkdir()
    make(output)
    before = sorted(tmp_path.rglob("*"))
    outcome = run_main(main, "--data", data_folder, "--output", output, *words(TINY))
    assert outcome.code == 2
    assert complaint in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


# A run that is there already


@pytest.fixture
def own_run(run: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run that a test may change."""
    shutil.copytree(run, tmp_path / "own")
    return tmp_path / "own"


def state_of(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Return time and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize("more", [(), ("--resume",), ("--device", "cpu")], ids=str)
def test_a_finished_run_is_not_trained_again(
    more: tuple[str, ...],
    run: Path,
    data_folder: Path,
    run_main: RunMain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = state_of(run)
    monkeypatch.setattr("paddle_wrn.train.load_photos", None)  # no photo is looked at
    outcome = run_main(main, "--data", data_folder, "--output", run, *words(TINY), *more)
    assert outcome.code == 0
    (line,) = outcome.out.splitlines()
    assert line.startswith(f"{run}: trained already (test accuracy ")
    assert "--again" in line
    assert state_of(run) == before
    stored = json.loads((run / "metrics.json").read_text("utf-8"))
    assert f"{stored['test']['accuracy']:.3f}" in line
    assert train(data=data_folder, output=run, settings=TINY) == stored


def test_a_finished_run_with_other_settings_is_refused(
    run: Path, data_folder: Path, run_main: RunMain
) -> None:
    before = state_of(run)
    settings = words(TINY | {"seed": 4})
    outcome = run_main(main, "--data", data_folder, "--output", run, *settings)
    assert outcome.code == 2
    assert "another configuration (seed was 0, now 4)" in outcome.err
    assert "--again" in outcome.err
    assert state_of(run) == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_finished_run_on_lists_that_have_changed_is_refused(
    resume: bool, own_lists: Path, tmp_path: Path, no_figures: None
) -> None:
    train(data=own_lists, output=tmp_path / "run", settings=TINY | {"epochs": 1})
    lines = (own_lists / "test.txt").read_text("utf-8").splitlines(keepends=True)
    (own_lists / "test.txt").write_text("".join(lines[1:]), "utf-8")
    with pytest.raises(UserError, match="the lists have changed since this run began"):
        train(data=own_lists, output=tmp_path / "run", resume=resume, settings=TINY | {"epochs": 1})


def test_an_unfinished_run_needs_resume(own_run: Path, data_folder: Path, run_main: RunMain) -> None:
    (own_run / "metrics.json").unlink()
    before = state_of(own_run)
    outcome = run_main(main, "--data", data_folder, "--output", own_run, *words(TINY))
    assert outcome.code == 2
    assert "holds a run already; add --resume" in outcome.err
    assert state_of(own_run) == before


def test_metrics_cut_short_are_written_again(own_run: Path, data_folder: Path, no_figures: None) -> None:
    whole = (own_run / "metrics.json").read_text("utf-8")
    (own_run / "metrics.json").write_text(whole[:100], "utf-8")
    results = train(data=data_folder, output=own_run, resume=True, settings=TINY)
    assert results == json.loads(whole) | {"seconds": results["seconds"]}


@pytest.mark.parametrize("finished", [True, False])
def test_again_moves_the_old_run_aside_and_trains_anew(
    finished: bool, own_run: Path, data_folder: Path, run_main: RunMain, no_figures: None
) -> None:
    if not finished:
        (own_run / "metrics.json").unlink()
    (own_run.parent / "own-before-1").mkdir()  # is taken
    before = {path.relative_to(own_run): what for path, what in state_of(own_run).items()}
    outcome = run_main(
        main, "--again", "--data", data_folder, "--output", own_run, *words(TINY | {"seed": 4})
    )
    assert outcome.code == 0
    aside = own_run.parent / "own-before-2"
    assert f"again     what was in {own_run} is now in {aside}" in outcome.out
    assert "resumed" not in outcome.out
    assert {path.relative_to(aside): what for path, what in state_of(aside).items()} == before
    assert json.loads((own_run / "metrics.json").read_text("utf-8"))["seed"] == 4
    assert len(read_history(own_run)) == 3


def test_again_takes_the_stored_configuration(own_run: Path, no_figures: None) -> None:
    before = weight_files(own_run)
    train(output=own_run, again=True)
    assert weight_files(own_run) == before
    assert weight_files(own_run.parent / "own-before-1") == before


def test_again_may_begin_with_the_weights_of_the_run_it_moves(own_run: Path, no_figures: None) -> None:
    train(output=own_run, again=True, settings={"model.weights": str(own_run / BEST), "epochs": 1})
    assert len(read_history(own_run)) == 1


def test_again_where_nothing_is_trains(data_folder: Path, tmp_path: Path, no_figures: None) -> None:
    train(data=data_folder, output=tmp_path / "run", again=True, settings=TINY | {"epochs": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--again", "--resume"), "give one of them"),
        (("--again", "--optimizer.lr", "fast"), "optimizer.lr: found 'fast'"),
        (("--again", "--model.weights", "gone.pdparams"), "gone.pdparams: no such file"),
        (("--again", "--data", "gone"), "gone: no such folder"),
    ],
    ids=lambda words: str(words[1:]),
)
def test_again_moves_nothing_when_something_is_wrong(
    more: tuple[str, ...], complaint: str, own_run: Path, run_main: RunMain
) -> None:
    before = state_of(own_run)
    outcome = run_main(main, "--output", own_run, *more)
    assert outcome.code == 2
    assert complaint in outcome.err
    assert state_of(own_run) == before
    assert list(own_run.parent.iterdir()) == [own_run]


def test_again_refuses_what_is_no_run(tmp_path: Path, data_folder: Path, run_main: RunMain) -> None:
    (tmp_path / "thesis.txt").touch()
    outcome = run_main(main, "--again", "--data", data_folder, "--output", tmp_path, *words(TINY))
    assert outcome.code == 2
    assert "holds other files" in outcome.err
    outcome = run_main(main, "--again", "--output", tmp_path / "typo")
    assert outcome.code == 2
    assert "typo: holds no run to train again" in outcome.err


def test_again_refuses_the_folder_one_is_in(
    own_run: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    monkeypatch.chdir(own_run / "visualdl")
    outcome = run_main(main, "--again", "--output", "..")
    assert outcome.code == 2
    assert "cannot be moved aside while you are in it" in outcome.err


def test_an_output_that_may_not_be_written_is_a_sentence(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:  # the tests may run as root, who may write anywhere
        patch.setattr(Path, "mkdir", refuse)
        outcome = run_main(main, "--data", data_folder, "--output", tmp_path / "run", *words(TINY))
    assert outcome.code == 2
    assert f"{tmp_path / 'run'}: permission denied" in outcome.err


# Losses that are not finite


def test_a_diverging_run_stops_with_epoch_step_and_checkpoint(
    data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    settings = TINY | {"optimizer.lr": 1e30}
    outcome = run_main(main, "--data", data_folder, "--output", tmp_path / "run", *words(settings))
    assert outcome.code == 2
    assert re.search(r"epoch 1, step \d: the loss is (nan|inf)", outcome.err)
    assert "lower --optimizer.lr (it was 1e+30)" in outcome.err
    assert "no checkpoint was saved yet" in outcome.err


@pytest.mark.parametrize("with_val", [True, False])
def test_weights_that_the_last_step_of_an_epoch_ruined_are_not_saved(
    with_val: bool,
    own_lists: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    if not with_val:
        (own_lists / "val.txt").unlink()
    step, steps = loop.train_step, []

    def ruin(state: Any, *batch: Any) -> bool:
        stops = bool(step(state, *batch))
        steps.append(1)
        if len(steps) == 8:
            state.model.fc.bias.set_value(paddle.full([3], float("nan")))
        return stops

    monkeypatch.setattr(loop, "train_step", ruin)
    run = tmp_path / "run"
    outcome = run_main(main, "--data", own_lists, "--output", run, *words(TINY))
    assert outcome.code == 2
    assert "epoch 2, step 4: " in outcome.err
    assert f"the last good checkpoint is {run / LAST}" in outcome.err
    assert load_checkpoint(run / LAST, "training")[1]["progress"]["epoch"] == 1
    for file, kind in ((LAST, "training"), (BEST, "model")):
        assert all(np.isfinite(array).all() for array in load_checkpoint(run / file, kind)[0].values())
    assert len(read_history(run)) == 1


def test_a_validation_loss_that_is_not_finite_stops_too(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    stand_in = SimpleNamespace(cross_entropy=lambda *_: float("inf"), accuracy=lambda *_: 1.0)
    monkeypatch.setattr(loop, "metrics", stand_in)
    outcome = run_main(main, "--data", data_folder, "--output", tmp_path / "run", *words(TINY))
    assert outcome.code == 2
    assert "epoch 1, step 4: the validation loss is inf" in outcome.err
    assert not (tmp_path / "run" / BEST).exists()
