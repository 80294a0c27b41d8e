"""Exported folders from anybody: what is damaged, altered or foreign is one sentence."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paddle
import pytest
from conftest import RunMain
from untrained_runs import make_run, needs_onnx, squares

from paddle_wrn import evaluate, predict
from paddle_wrn.answering.answer import answers_from
from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.answering.exported import read_contract
from paddle_wrn.deploy.exporting import export
from paddle_wrn.errors import UserError


@pytest.fixture(scope="module")
def original(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an exported folder; tests only read it."""
    folder = tmp_path_factory.mktemp("exported")
    run = make_run(folder / "run", data_folder, strides=[2, 1, 2, 2])
    export(run, folder / "program")
    return folder / "program"


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """Return a copy that may be spoilt."""
    copy = tmp_path / "program"
    copy.mkdir()
    for file in original.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
    change(contract)
    (folder / "contract.json").write_text(json.dumps(contract), encoding="utf-8")


def test_a_contract_is_read_as_it_was_written(original: Path) -> None:
    contract = read_contract(original)
    assert contract.to_json() == (original / "contract.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format_version=2), "has format version 2, this version of paddle_wrn reads 1"),
        (lambda c: c.pop("format_version"), "has format version None"),
        (lambda c: c.pop("preprocessing"), "preprocessing: field required"),
        (lambda c: c["preprocessing"].update(size=-1), "preprocessing.size: input should be greater than 0"),
        (lambda c: c["calibration"].update(temperature="hot"), "calibration.temperature: "),
        (lambda c: c["resize"].update(filter="lanczos"), "resize.filter: input should be 'bicubic'"),
        (lambda c: c.update(more=1), "more: extra inputs are not permitted"),
        (
            lambda c: c.update(files={"../secret": "0"}),
            "'../secret' is not the name of a file in this folder",
        ),
        (lambda c: c.update(files={"gone.onnx": "0"}), "gone.onnx: no such file, but contract.json names it"),
        (lambda c: c.update(files={}), "the network cannot be loaded"),
    ],
)
def test_another_contract_is_one_sentence(
    change: Callable[[dict[str, Any]], object], words: str, folder: Path
) -> None:
    rewrite(folder, change)
    with pytest.raises(UserError) as error:
        load_classifier(folder)
    assert words in str(error.value)
    assert str(error.value).startswith(str(folder))


@pytest.mark.parametrize("text", ["", "[]", "{", "\udcff"])
def test_a_damaged_contract_is_one_sentence(text: str, folder: Path, run_main: RunMain) -> None:
    (folder / "contract.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    outcome = run_main(predict.main, folder, "a.jpg")
    assert outcome.code == 2
    assert f"{folder / 'contract.json'}: not what paddle_wrn.export wrote" in outcome.err


def test_a_damaged_program_is_never_loaded(folder: Path) -> None:
    file = folder / "network.pdiparams"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"network\.pdiparams: the file is not the one that was exported"):
        load_classifier(folder)


def test_a_program_of_paddle_3_is_refused_by_paddle_2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = (file for file in folder.glob("network.*") if file.suffix != ".pdiparams")
    program.rename(folder / "network.json")
    rewrite(folder, lambda c: c.update(files={"network.json": c["files"][program.name]}))
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    with pytest.raises(UserError, match=r"network\.json: a program of PaddlePaddle .* 2\.6\.2 cannot run"):
        load_classifier(folder)


@needs_onnx
def test_without_onnxruntime_its_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(folder, lambda c: c.update(format="onnx"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime, which is not installed; .* '\.\[onnx\]'"):
        load_classifier(folder)


@needs_onnx
def test_a_file_that_is_no_network_is_one_sentence(folder: Path) -> None:
    name = "network.pdiparams"
    rewrite(folder, lambda c: c.update(format="onnx", files={name: c["files"][name]}))
    with pytest.raises(UserError, match=r"the network cannot be loaded \(.*\); export it again"):
        load_classifier(folder)


def test_an_exported_network_is_evaluated_on_photos(
    folder: Path, data_folder: Path, run_main: RunMain
) -> None:
    outcome = run_main(evaluate.main, folder, "--data", data_folder, "--split", "val")
    assert outcome.code == 0
    assert "of 6 right" in outcome.out
    assert "does not say which photos it was trained on" in run_main(evaluate.main, folder).err


def test_an_exported_network_gives_the_answers_of_its_run(original: Path) -> None:
    run, exported = load_classifier(original.parent / "run"), load_classifier(original)
    ours, theirs = (answers_from(network, network.logits(squares(9))) for network in (run, exported))

    assert [answer.labels for answer in theirs] == [answer.labels for answer in ours]
    assert [answer.verdict for answer in theirs] == [answer.verdict for answer in ours]
    for found, expected in zip(theirs, ours, strict=True):
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_an_exported_network_has_nothing_to_explain(
    folder: Path, photo_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    photo = next((photo_folder / "Green").iterdir())
    outcome = run_main(predict.main, folder, photo, "--explain", tmp_path / "pictures")
    assert outcome.code == 2
    assert "no layers to look into" in outcome.err
