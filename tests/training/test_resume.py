"""Resuming: what may be continued, with which settings, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import RunMain
from interruptions import RECIPES, Uninterrupted, assert_same_end, stop_after
from tiny_runs import TINY, words
from visualdl import LogReader

from paddle_wrn.config import load_config
from paddle_wrn.errors import UserError
from paddle_wrn.train import main
from paddle_wrn.training.session import train

pytestmark = pytest.mark.usefixtures("no_figures")


def test_visualdl_holds_every_epoch_of_a_resumed_run(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    train(output=tmp_path / "run", resume=True)
    (records,) = (tmp_path / "run" / "visualdl").glob("vdlrecords*")
    reader = LogReader(file_path=str(records))
    assert [record.id for record in reader.get_data("scalar", "loss/val")] == [1, 2, 3]
    assert len(reader.get_data("image", "augmented training photos")) == 1


def test_resume_of_nothing_starts(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    settings = words(RECIPES["adam"])
    outcome = run_main(main, "--resume", "--data", data_folder, "--output", tmp_path / "run", *settings)
    assert outcome.code == 0
    assert "resumed" not in outcome.out
    assert_same_end(tmp_path / "run", uninterrupted("adam"))


def test_resume_of_nothing_starts_with_a_configuration(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    config = load_config(None, RECIPES["short"] | {"data": str(data_folder)})
    (tmp_path / "my.yaml").write_text(config.to_yaml(), "utf-8")
    outcome = run_main(main, "--resume", "--config", tmp_path / "my.yaml", "--output", tmp_path / "run")
    assert outcome.code == 0
    assert "resumed" not in outcome.out
    assert_same_end(tmp_path / "run", uninterrupted("short"))


@pytest.mark.parametrize(
    "make",
    [lambda run: None, Path.mkdir, Path.touch, lambda run: (run.mkdir(), (run / "thesis.txt").touch())],
    ids=["missing", "empty", "file", "other files"],
)
def test_resume_of_nothing_with_nothing_else_is_refused(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    monkeypatch.chdir(tmp_path)  # where no sample birds may be drawn either
    make(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    outcome = run_main(main, "--resume", "--output", tmp_path / "run")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {tmp_path / 'run'}: holds no run to resume; give the --data or")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_mistyped_run_is_not_begun_anew_because_a_setting_was_given(
    tmp_path: Path, run_main: RunMain
) -> None:
    outcome = run_main(main, "--resume", "--output", tmp_path / "typo", "--device", "cpu")
    assert outcome.code == 2
    assert "holds no run to resume" in outcome.err
    assert not (tmp_path / "typo").exists()


def test_resume_of_a_finished_run_is_harmless(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted("sgd"), tmp_path / "run")
    before = (tmp_path / "run" / "history.jsonl").read_bytes()
    train(output=tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))
    assert (tmp_path / "run" / "history.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("optimizer.lr", 0.05, "optimizer.lr was 0.1, now 0.05"),
        ("seed", 7, "seed was 0, now 7"),
        ("epochs", 9, "epochs was 3, now 9"),
        ("model.options.drop_rate", 0.1, "model.options was"),
    ],
)
def test_resume_with_another_configuration_is_refused_by_name(
    name: str,
    value: object,
    complaint: str,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    run_main: RunMain,
) -> None:
    run = uninterrupted("sgd")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    settings = words(RECIPES["sgd"] | {name: value})
    outcome = run_main(main, "--resume", "--data", data_folder, "--output", run, *settings)
    assert outcome.code == 2
    assert f"{run}: was trained with another configuration ({complaint}" in outcome.err
    assert outcome.err.count(" was ") == 2  # "was trained", and the one setting that differs
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--seed", "5"), "seed was 0, now 5"),
        (("--data", "elsewhere"), "data was '{data}', now 'elsewhere'"),
        (("--model.options.drop_rate=0.1",), "model.options was"),
    ],
    ids=lambda words: words[0],
)
def test_resume_takes_the_stored_configuration_as_its_base(
    words: tuple[str, ...],
    complaint: str,
    uninterrupted: Uninterrupted,
    data_folder: Path,
    run_main: RunMain,
) -> None:
    run = uninterrupted("sgd")
    outcome = run_main(main, "--resume", "--output", run, *words)
    assert outcome.code == 2
    assert f"another configuration ({complaint.format(data=data_folder)}" in outcome.err
    assert outcome.err.count(" was ") == 2  # "was trained", and the one setting that differs


def test_resume_with_nothing_but_another_device_continues(
    uninterrupted: Uninterrupted,
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    outcome = run_main(main, "--resume", "--output", tmp_path / "run", "--device", "cpu")
    assert outcome.code == 0
    assert "device    cpu (as asked)" in outcome.out
    assert "resumed   after epoch 1, step 2" in outcome.out
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


def test_resume_on_another_device_is_allowed(
    uninterrupted: Uninterrupted, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(6, "sgd", data_folder, tmp_path / "run", monkeypatch)
    settings = RECIPES["sgd"] | {"device": "cpu"}
    train(data=data_folder, output=tmp_path / "run", resume=True, settings=settings)
    assert_same_end(tmp_path / "run", uninterrupted("sgd"))


def test_resume_with_the_same_options_as_a_tuple_is_allowed(data_folder: Path, tmp_path: Path) -> None:
    settings = TINY | {"epochs": 1, "model.options": {"strides": (2, 1, 2, 2)}}
    arguments: dict[str, Any] = {"data": data_folder, "output": tmp_path / "run", "settings": settings}
    assert train(**arguments).test == train(**arguments, resume=True).test


@pytest.mark.parametrize("name", ["train.txt", "val.txt", "classes.txt"])
def test_resume_is_refused_when_the_lists_have_changed(
    name: str, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(data_folder.parent, tmp_path / "data")
    lists = tmp_path / "data" / data_folder.name
    stop_after(2, "sgd", lists, tmp_path / "run", monkeypatch)
    text = (lists / name).read_text("utf-8")
    changed = (
        text.replace("Blue Disc", "Bluer Disc")
        if name == "classes.txt"
        else text + text[: text.index("\n") + 1]
    )
    (lists / name).write_text(changed, "utf-8")
    with pytest.raises(UserError, match="the lists have changed since this run began"):
        train(output=tmp_path / "run", resume=True)
