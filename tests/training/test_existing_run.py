"""A run that is there already: finished, unfinished, damaged, or to be trained again."""

import json
from pathlib import Path

import pytest
from conftest import RunMain
from tiny_runs import BEST, TINY, history, metrics, state_of, weight_files, words

from paddle_wrn.errors import UserError
from paddle_wrn.train import main
from paddle_wrn.training.session import train


@pytest.mark.parametrize("more", [(), ("--resume",), ("--device", "cpu")], ids=str)
def test_a_finished_run_is_not_trained_again(
    more: tuple[str, ...],
    finished_run: Path,
    data_folder: Path,
    run_main: RunMain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = state_of(finished_run)
    monkeypatch.setattr("paddle_wrn.training.setup.load_photos", None)  # no photo is looked at
    outcome = run_main(main, "--data", data_folder, "--output", finished_run, *words(TINY), *more)
    assert outcome.code == 0
    (line,) = outcome.out.splitlines()
    assert line.startswith(f"{finished_run}: trained already (test accuracy ")
    assert "--again" in line
    assert state_of(finished_run) == before
    stored = metrics(finished_run)
    assert f"{stored['test']['accuracy']:.3f}" in line
    assert train(data=data_folder, output=finished_run, settings=TINY).plain() == stored


def test_a_finished_run_with_other_settings_is_refused(
    finished_run: Path, data_folder: Path, run_main: RunMain
) -> None:
    before = state_of(finished_run)
    settings = words(TINY | {"seed": 4})
    outcome = run_main(main, "--data", data_folder, "--output", finished_run, *settings)
    assert outcome.code == 2
    assert "another configuration (seed was 0, now 4)" in outcome.err
    assert "--again" in outcome.err
    assert state_of(finished_run) == before


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
    assert results.plain() == json.loads(whole) | {"seconds": results.seconds}
    assert metrics(own_run) == results.plain()


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
    assert metrics(own_run)["seed"] == 4
    assert len(history(own_run)) == 3


def test_again_takes_the_stored_configuration(own_run: Path, no_figures: None) -> None:
    before = weight_files(own_run)
    train(output=own_run, again=True)
    assert weight_files(own_run) == before
    assert weight_files(own_run.parent / "own-before-1") == before


def test_again_may_begin_with_the_weights_of_the_run_it_moves(own_run: Path, no_figures: None) -> None:
    train(output=own_run, again=True, settings={"model.weights": str(own_run / BEST), "epochs": 1})
    assert len(history(own_run)) == 1


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
