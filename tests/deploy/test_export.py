"""Export: the same answers, and a contract that holds all that is needed."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from conftest import RunMain
from untrained_runs import CALIBRATION, SHOWN, make_run, names, needs_onnx, squares

from paddle_wrn import export as export_command
from paddle_wrn import predict
from paddle_wrn.answering.classifier import load_classifier
from paddle_wrn.answering.exported import Int8
from paddle_wrn.deploy import onnx_file
from paddle_wrn.deploy.exporting import export
from paddle_wrn.export import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with its photos; tests only read it."""
    return make_run(tmp_path_factory.mktemp("export") / "run", data_folder, strides=[2, 1, 2, 2])


@dataclass(frozen=True)
class Exported:
    folder: Path
    said: str
    ran: str  # commands, one a line, that the converter started


@pytest.fixture(scope="module")
def onnx(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return the run as ONNX, with the commands that its converter started."""
    spy = tmp_path_factory.mktemp("spy")
    (spy / "sitecustomize.py").write_text(  # Paddle itself starts some commands when it is imported
        "import pathlib, subprocess\n"
        "real = subprocess.Popen.__init__\n"
        "def note(self, command, *more, **options):\n"
        "    with pathlib.Path(__file__).with_name('ran').open('a') as file:\n"
        "        file.write(f'{command}\\n')\n"
        "    real(self, command, *more, **options)\n"
        "subprocess.Popen.__init__ = note\n"
    )
    folder = spy / "onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{spy}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("POLYGRAPHY_AUTOINSTALL_DEPS", "1")
        contract = export(run, folder, "onnx")
    ran = spy / "ran"
    summary = "\n".join(export_command._summary(contract, folder))
    return Exported(folder, summary, ran.read_text() if ran.exists() else "")


# The same answers


@pytest.mark.parametrize("format_", ["paddle", "pdparams"])
def test_the_exported_network_says_what_the_run_says(
    format_: str, run: Path, photo_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    output = tmp_path / "new" / "exported"
    outcome = run_main(main, run, "--format", format_, "--output", output)
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(r"differ by at most [\d.]+e-\d\d|differ by at most 0.0e\+00", outcome.out)
    assert "on 6 validation photos" in outcome.out
    program = {"network.json"} if paddle.__version__[0] == "3" else {"network.pdmodel"}
    weights = program | {"network.pdiparams"} if format_ == "paddle" else {"network.pdparams"}
    assert names(output) == weights | {"contract.json", "example.py"}
    assert names(tmp_path) == {"new"}
    original, exported = load_classifier(run), load_classifier(output)
    assert exported.preprocessing == original.preprocessing
    assert exported.calibration == CALIBRATION
    expected = original.probabilities(squares(70))
    np.testing.assert_allclose(exported.probabilities(squares(70)), expected, rtol=0, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.01

    photo = next((photo_folder / "Green").iterdir())
    assert run_main(predict.main, output, photo).out == run_main(predict.main, run, photo).out


@needs_onnx
def test_onnx_says_what_the_run_says(
    onnx: Exported, run: Path, photo_folder: Path, run_main: RunMain
) -> None:
    assert "on 6 validation photos" in onnx.said
    assert names(onnx.folder) == {"network.onnx", "contract.json", "example.py"}
    expected = load_classifier(run).probabilities(squares(5))
    for _ in range(2):  # a session may be asked again, with another number of photos
        found = load_classifier(onnx.folder).probabilities(squares(5))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    photo = next((photo_folder / "Green").iterdir())
    assert run_main(predict.main, onnx.folder, photo).out == run_main(predict.main, run, photo).out


@needs_onnx
def test_the_converter_starts_no_pip(onnx: Exported) -> None:
    assert (onnx.folder / "network.onnx").is_file()
    assert "pip" not in onnx.ran
    assert 'options["optimize_tool"] = "none"' in onnx_file._CONVERT


@needs_onnx
def test_the_onnx_file_is_plain(onnx: Exported) -> None:
    import onnx as onnx_package

    model = onnx_package.load(onnx.folder / "network.onnx")
    assert [opset.version for opset in model.opset_import if not opset.domain] == [onnx_file.OPSET]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["images", "logits"]
    used = {name for node in model.graph.node for name in node.input} | {"logits"}
    assert {name for node in model.graph.node for name in node.output} <= used


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("googlenet_cifar", 32, {}),
        ("preact_resnet_cifar", 32, {"activation": "leaky_relu"}),
        ("efficientnet_lite0", 49, {}),
    ],
)
def test_other_networks_as_onnx(name: str, size: int, options: dict[str, Any], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tmp_path, name, size, **options)
    contract = export(run, tmp_path / "onnx", "onnx")
    assert contract.check is not None
    assert max(contract.check.largest_difference, contract.check.largest_logit_difference) < 1e-4
    assert contract.check.pictures.startswith("16 pictures of drawn noise")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("wrn_10_1", 33),
        ("densenet_cifar", 32),
        ("resnet20", 32),
        ("efficientnet_lite0", 49),
        ("flowernet", 224),
    ],
)
def test_other_networks_as_programs(name: str, size: int, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tmp_path, name, size)
    contract = export(run, tmp_path / "program")
    assert contract.check is not None
    assert max(contract.check.largest_difference, contract.check.largest_logit_difference) < 1e-4


def test_the_network_stays_as_it_is(run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    export(run, tmp_path / "a")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


# The contract


def test_the_contract_holds_all_that_is_needed(run: Path, tmp_path: Path) -> None:
    contract = export(run, tmp_path / "a", "pdparams")
    stored = json.loads((tmp_path / "a" / "contract.json").read_text(encoding="utf-8"))
    assert stored == contract.model_dump(mode="json")
    assert (stored["format_version"], stored["format"]) == (1, "pdparams")
    assert (stored["input"]["shape"], stored["output"]["shape"]) == ([None, 3, 32, 32], [None, 3])
    assert stored["preprocessing"] == load_classifier(run).preprocessing.model_dump(mode="json")
    assert stored["preprocessing"]["display_names"] == list(SHOWN)
    assert stored["calibration"] == CALIBRATION.model_dump()
    assert stored["model"] == {"name": "wrn_10_1", "options": {"strides": [2, 1, 2, 2]}}
    assert stored["resize"]["filter"] == "bicubic"
    assert stored["versions"]["paddle"] == paddle.__version__
    assert "蓝圆" in (tmp_path / "a" / "contract.json").read_text(encoding="utf-8")


def test_every_key_of_the_contract_is_documented(run: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    contract = export(run, tmp_path / "a", "pdparams").model_dump()
    contract["int8"] = dict.fromkeys(Int8.model_fields)
    keys = set(contract) | {
        f"{part}.{key}"
        for part in ("input", "output", "preprocessing", "resize", "calibration", "model", "check", "int8")
        for key in contract[part]
    }
    assert {key for key in keys if f"`{key}`" not in page} == set()


# 8 bits


@needs_onnx
def test_int8_is_smaller_and_says_what_it_costs(
    run: Path, data_folder: Path, tmp_path: Path, run_main: RunMain
) -> None:
    outcome = run_main(main, run, "--format", "onnx", "--int8", "--output", tmp_path / "int8")
    assert outcome.code == 0
    contract = json.loads((tmp_path / "int8" / "contract.json").read_text(encoding="utf-8"))
    int8 = contract["int8"]
    assert (int8["calibrated_on"], int8["validation_photos"]) == (24, 6)
    assert int8["bytes_after"] < int8["bytes_before"] / 2
    assert (tmp_path / "int8" / "network.onnx").stat().st_size == int8["bytes_after"]
    assert contract["check"]["largest_difference"] <= 1e-4
    assert 0 < int8["largest_difference"] < 0.2
    for moment in ("before", "after"):
        assert f"{int8[f'accuracy_{moment}']:.3f} {moment}" in outcome.out
    assert names(tmp_path / "int8") == {"network.onnx", "contract.json", "example.py"}

    lines = (data_folder / "val.txt").read_text(encoding="utf-8").splitlines()
    photos = [data_folder / line.rsplit(" ", 1)[0] for line in lines]
    classifier = load_classifier(run)
    images = np.stack([classifier.preprocessing.load(photo) for photo in photos])
    found = load_classifier(tmp_path / "int8").probabilities(images)
    difference = np.abs(found - classifier.probabilities(images)).max()
    assert difference == pytest.approx(int8["largest_difference"], abs=1e-4)
    labels = np.repeat(np.arange(3), 2)
    assert (found.argmax(axis=1) == labels).mean() == pytest.approx(int8["accuracy_after"])


@needs_onnx
def test_int8_needs_photos(run: Path, data_folder: Path, tmp_path: Path, run_main: RunMain) -> None:
    lists = tmp_path / "lists"
    shutil.copytree(data_folder, lists)  # its paths lead nowhere from here
    ask = (main, run, "--format", "onnx", "--int8", "--output", tmp_path / "int8", "--data")
    outcome = run_main(*ask, lists)
    assert outcome.code == 2
    assert f"{lists / 'val.txt'}, line 1" in outcome.err
    assert "no such file" in outcome.err
    (lists / "val.txt").unlink()
    assert f"{lists / 'val.txt'}: no such list" in run_main(*ask, lists).err
    assert f"{tmp_path / 'gone'}: no such folder" in run_main(*ask, tmp_path / "gone").err
    assert names(tmp_path) == {"lists"}
