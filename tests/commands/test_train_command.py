"""The command `train`: words become settings, and bad input is a sentence that leaves nothing behind."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import RunMain
from tiny_runs import TINY, words

from paddle_wrn.config import load_config
from paddle_wrn.train import main


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
