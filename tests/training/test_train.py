"""Training: that it learns, repeats itself, keeps the best epoch and begins with given weights."""

import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest
from tiny_runs import BEST, LAST, TINY, history, metrics, weight_files

from paddle_wrn.answering import classifier as inference
from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.config import load_config
from paddle_wrn.errors import UserError
from paddle_wrn.models import create_model
from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.training import loop
from paddle_wrn.training.optimization import learning_rate
from paddle_wrn.training.session import train

# Learning


@pytest.mark.parametrize("optimizer", [("sgd", 0.1), ("adam", 0.01), ("adamw", 0.01)], ids=lambda o: o[0])
def test_learns_to_tell_the_shapes_apart(
    optimizer: tuple[str, float], data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    name, lr = optimizer
    changes = {"epochs": 15, "optimizer.name": name, "optimizer.lr": lr}
    results = train(data=data_folder, output=tmp_path / "run", settings=TINY | changes)
    losses = [epoch["train_loss"] for epoch in history(tmp_path / "run")]
    assert losses[-1] < 0.7 * losses[0]
    assert results.val is not None
    assert results.test is not None
    assert results.val.accuracy >= 5 / 6
    assert results.test.accuracy >= 5 / 6


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
    (epoch,) = history(tmp_path / "run")
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
    assert [epoch["lr"] for epoch in history(tmp_path / "run")] == pytest.approx(expected)


def test_a_remainder_batch_counts_like_the_others_in_validation(
    finished_run: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    monkeypatch.setattr(inference, "BATCH_SIZE", 4)  # 6 photos: 4 and 2
    train(data=data_folder, output=tmp_path / "run", settings=TINY)
    for ours, theirs in zip(history(tmp_path / "run"), history(finished_run), strict=True):
        assert ours["val_acc"] == theirs["val_acc"]
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)


# The same bytes


def test_the_same_seed_gives_the_same_bytes_whatever_the_process_did_before(
    finished_run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    create_model("wrn_10_1", 5)
    np.random.rand(3)
    paddle.seed(99)
    paddle.rand([3])
    train(data=data_folder, output=tmp_path / "again", settings=TINY)
    assert weight_files(tmp_path / "again") == weight_files(finished_run)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"optimizer.name": "adam"}, {"optimizer.name": "adamw"}, {"drop_last": True},
     {"model.options.drop_rate": 0.5}, {"augment.flip_horizontal": 0.0}, {"label_smoothing": 0.0}],
    ids=str,
)  # fmt: skip
def test_another_setting_gives_other_weights_and_the_same_ones_twice(
    changes: dict[str, Any], finished_run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    for name in ("one", "two"):
        settings = TINY | {"selection": "last"} | changes
        train(data=data_folder, output=tmp_path / name, settings=settings)
    assert weight_files(tmp_path / "one") == weight_files(tmp_path / "two")
    last = load_checkpoint(finished_run / LAST, "training")[0]
    changed = load_checkpoint(tmp_path / "one" / BEST, "model")[0]
    assert not np.array_equal(changed["fc.weight"], last["model/fc.weight"])


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
    (first,), (second,) = history(tmp_path / "True"), history(tmp_path / "False")
    assert first["train_loss"] == second["train_loss"]
    assert first["val_loss"] != second["val_loss"]
    assert weight_files(tmp_path / "True")[1] == weight_files(tmp_path / "False")[1]


def test_the_test_photos_choose_nothing(
    finished_run: Path, own_lists: Path, tmp_path: Path, no_figures: None
) -> None:
    lines = (own_lists / "test.txt").read_text("utf-8").splitlines()
    moved = [f"{line[:-1]}{(int(line[-1]) + 1) % 3}\n" for line in lines]
    (own_lists / "test.txt").write_text("".join(moved), "utf-8")
    results = train(data=own_lists, output=tmp_path / "run", settings=TINY)
    assert weight_files(tmp_path / "run") == weight_files(finished_run)
    before = metrics(finished_run)
    after = results.plain()
    assert after["test"]["confusion"] != before["test"]["confusion"]
    assert after["val"] == before["val"]


def test_without_test_photos_nothing_is_scored_on_them(
    finished_run: Path, own_lists: Path, tmp_path: Path, no_figures: None
) -> None:
    (own_lists / "test.txt").unlink()
    results = train(data=own_lists, output=tmp_path / "run", settings=TINY)
    assert results.test is None
    assert "test" not in metrics(tmp_path / "run")
    assert weight_files(tmp_path / "run") == weight_files(finished_run)


def test_mixed_precision_does_nothing_on_the_processor_and_says_so(
    finished_run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    train(data=data_folder, output=tmp_path / "run", settings=TINY | {"amp": True})
    assert weight_files(tmp_path / "run")[1] == weight_files(finished_run)[1]
    assert "mixed precision does nothing on the processor" in (tmp_path / "run/train.log").read_text("utf-8")


def test_trains_outside_the_main_thread(
    finished_run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    work = threading.Thread(
        target=train, kwargs={"data": data_folder, "output": tmp_path / "run", "settings": TINY}
    )
    work.start()
    work.join()
    assert weight_files(tmp_path / "run") == weight_files(finished_run)


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
    assert results.kept_epoch == kept
    assert weight_files(tmp_path / "run")[1] == weight_files(tmp_path / "short")[1]


def test_without_validation_photos_the_last_epoch_is_kept(
    own_lists: Path, tmp_path: Path, no_figures: None
) -> None:
    (own_lists / "val.txt").unlink()
    results = train(data=own_lists, output=tmp_path / "run", settings=TINY)
    assert results.kept_epoch == 3
    assert results.val is None
    assert "val" not in metrics(tmp_path / "run")
    assert [epoch["val_acc"] for epoch in history(tmp_path / "run")] == [None] * 3
    last = load_checkpoint(tmp_path / "run" / LAST, "training")[0]
    for name, weights in load_checkpoint(tmp_path / "run" / BEST, "model")[0].items():
        np.testing.assert_array_equal(weights, last[f"model/{name}"])


# Weights to start from


@pytest.mark.parametrize("file", [BEST, "model.pdparams"])
def test_starts_from_given_weights(
    file: str, finished_run: Path, data_folder: Path, tmp_path: Path, no_figures: None
) -> None:
    still = {
        "epochs": 1,
        "optimizer.lr": 1e-20,
        "selection": "last",
        "model.weights": str(finished_run / file),
    }
    train(data=data_folder, output=tmp_path / "run", settings=TINY | still)
    ours = load_checkpoint(tmp_path / "run" / BEST, "model")[0]
    for name, weights in load_checkpoint(finished_run / BEST, "model")[0].items():
        if not name.endswith(("_mean", "_variance")):  # running statistics move without a step
            np.testing.assert_array_equal(ours[name], weights)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model.weights": "gone.pdparams"}, "gone.pdparams: no such file"),
        ({"model.weights": "{run}/config.yaml"}, "weights are .safetensors, .pdparams, .pth or .pt files"),
        ({"model.weights": "{run}/model.pdparams", "model.name": "wrn_16_1"}, "weights of another network"),
    ],
)
def test_refuses_other_weights(
    changes: dict[str, str], complaint: str, finished_run: Path, data_folder: Path, tmp_path: Path
) -> None:
    changes = {name: value.format(run=finished_run) for name, value in changes.items()}
    with pytest.raises(UserError, match=re.escape(complaint)):
        train(data=data_folder, output=tmp_path / "run", settings=TINY | changes)
    assert not (tmp_path / "run").exists()
