"""Losses and weights that are no numbers: the training ends, and what was good stays."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import paddle
import pytest
from conftest import RunMain
from interruptions import RECIPES, Uninterrupted, assert_same_end
from tiny_runs import BEST, LAST, TINY, history, words

from paddle_wrn.runs.checkpoint import load_checkpoint
from paddle_wrn.train import main
from paddle_wrn.training import loop
from paddle_wrn.training.session import train


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
    assert len(history(run)) == 1


def test_a_validation_loss_that_is_not_finite_stops_too(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    stand_in = SimpleNamespace(cross_entropy=lambda *_: float("inf"), accuracy=lambda *_: 1.0)
    monkeypatch.setattr(loop, "metrics", stand_in)
    outcome = run_main(main, "--data", data_folder, "--output", tmp_path / "run", *words(TINY))
    assert outcome.code == 2
    assert "epoch 1, step 4: the validation loss is inf" in outcome.err
    assert not (tmp_path / "run" / BEST).exists()


def test_a_loss_that_is_not_finite_keeps_a_checkpoint_to_resume_from(
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
    no_figures: None,
) -> None:
    run = tmp_path / "run"
    cross_entropy, done = loop.F.cross_entropy, []

    def failing(*args: Any, **options: Any) -> Any:
        done.append(1)
        return cross_entropy(*args, **options) * (float("nan") if len(done) == 6 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(loop.F, "cross_entropy", failing)
        outcome = run_main(main, "--data", data_folder, "--output", run, *words(RECIPES["sgd"]))
    assert outcome.code == 2
    assert "epoch 2, step 2: the loss is nan" in outcome.err
    assert outcome.err.rstrip().endswith(f"the last good checkpoint is {run / LAST}")
    train(output=run, resume=True)
    assert_same_end(run, uninterrupted("sgd"))
