"""Export: whole folders or none, the same answers, and an example that runs where paddle_wrn is not."""

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from conftest import RunMain
from paddle import nn
from PIL import Image
from rounding import logit_rounding

from paddle_wrn import export as export_module
from paddle_wrn import predict
from paddle_wrn.calibration import Calibration
from paddle_wrn.config import load_config
from paddle_wrn.errors import UserError
from paddle_wrn.export import export, main
from paddle_wrn.exporting import onnx_file
from paddle_wrn.inference import load_classifier, store_calibration
from paddle_wrn.models import registry
from paddle_wrn.preprocessing import Preprocessing
from paddle_wrn.run_folder import create_run_folder
from paddle_wrn.state import new_state

ROOT = Path(__file__).resolve().parents[1]
CLASSES, SHOWN = ("Blue Disc", "Green", "红 三角"), ("蓝圆", "Green", "Red Triangle")
CALIBRATION = Calibration(temperature=0.5, threshold=0.45, photos=6)


def onnx_obstacle() -> str:
    try:
        onnx_file.check_packages()
    except UserError as error:
        return str(error)
    return ""


needs_onnx = pytest.mark.skipif(bool(onnx_obstacle()), reason=onnx_obstacle())


def make_run(run: Path, data: Path, name: str = "wrn_10_1", size: int = 32, **options: Any) -> Path:
    """Make the folder of a run that was never trained, with running statistics that have moved."""
    config = load_config(
        None, {"data": str(data), "model.name": name, "model.options": options, "input.size": size}
    )
    contract = Preprocessing(
        size=size,
        mean=(0.3, 0.25, 0.35),
        std=(0.2, 0.25, 0.3),
        classes=CLASSES,
        display_names=SHOWN,
        mirror=True,
        draft=True,
    )
    state = new_state(config, contract)
    for buffer, value in state.model.state_dict().items():
        if buffer.endswith("_mean"):
            value.set_value(paddle.uniform(value.shape, min=-0.2, max=0.2))
        if buffer.endswith("_variance"):
            value.set_value(paddle.uniform(value.shape, min=0.5, max=1.5))
    create_run_folder(run, config, contract)
    state.save_model(run)
    store_calibration(run, CALIBRATION)
    return run


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
    summary = "\n".join(export_module._summary(contract, folder))
    return Exported(folder, summary, ran.read_text() if ran.exists() else "")


def squares(count: int, size: int = 32) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# The same answers


@pytest.mark.numeric
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
    off = logit_rounding(original, squares(70)) / 2
    assert exported.probabilities(squares(70)) == pytest.approx(expected, abs=off)
    assert np.ptp(expected, axis=0).max() > 0.01

    photo = next((photo_folder / "Green").iterdir())
    assert run_main(predict.main, output, photo).out == run_main(predict.main, run, photo).out


@needs_onnx
def test_onnx_says_what_the_run_says(
    onnx: Exported, run: Path, photo_folder: Path, run_main: RunMain
) -> None:
    assert "on 6 validation photos" in onnx.said
    assert names(onnx.folder) == {"network.onnx", "contract.json", "example.py"}
    classifier = load_classifier(run)
    expected, off = classifier.probabilities(squares(5)), logit_rounding(classifier, squares(5)) / 2
    for _ in range(2):  # a session may be asked again, with another number of photos
        found = load_classifier(onnx.folder).probabilities(squares(5))
        assert found == pytest.approx(expected, abs=off)
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
    ],
)
def test_other_networks_as_onnx(name: str, size: int, options: dict[str, Any], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tmp_path, name, size, **options)
    contract = export(run, tmp_path / "onnx", "onnx")
    assert contract.check is not None
    assert max(contract.check.largest_difference, contract.check.largest_logit_difference) < 1e-4
    assert contract.check.pictures.startswith("16 pictures of drawn noise")


@pytest.mark.parametrize(
    ("name", "size"), [("wrn_10_1", 33), ("densenet_cifar", 32), ("resnet20", 32), ("flowernet", 224)]
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
    contract["int8"] = dict.fromkeys(export_module.Int8.model_fields)
    keys = set(contract) | {
        f"{part}.{key}"
        for part in ("input", "output", "preprocessing", "resize", "calibration", "model", "check", "int8")
        for key in contract[part]
    }
    assert {key for key in keys if f"`{key}`" not in page} == set()


# The example


def odd_photos(folder: Path, photo: Path) -> list[Path]:
    """Make photos that are read in every way there is."""
    folder.mkdir()
    pixels = np.random.default_rng(2).integers(0, 256, (300, 500, 3), np.uint8)
    large = Image.fromarray(pixels).resize((1500, 900))
    exif = large.getexif()
    exif[0x0112] = 6
    large.save(folder / "turned.jpg", exif=exif)
    large.resize((40, 30)).save(folder / "small turned.jpg", exif=exif)
    large.resize((30, 40)).save(folder / "turned.png", exif=exif)
    large.convert("L").save(folder / "grey.jpg")
    large.convert("CMYK").save(folder / "cmyk.jpg")
    large.convert("P").save(folder / "palette.png")
    layer = Image.fromarray(np.random.default_rng(3).integers(0, 256, (50, 70, 4), np.uint8))
    layer.save(folder / "transparent.png")
    layer.convert("LA").save(folder / "grey transparent.png")
    Image.fromarray(np.arange(4000, dtype=np.uint16).reshape(50, 80) * 16).save(folder / "16 bit.png")
    Image.new("RGB", (400, 1), "red").save(folder / "line.png")
    shutil.copy(photo, folder / "photo.jpg")
    return sorted(folder.iterdir())


CHILD = """
import hashlib, json, runpy, sys
sys.modules["paddle_wrn"] = None  # as where it is not installed
example, *photos = sys.argv[1:]
sys.argv = [example]
its = runpy.run_path(example)
answers = {}
for draft in (True, False):
    its["INPUT"]["draft"] = draft
    for photo in photos:
        square = hashlib.sha256(its["read_square"](photo).tobytes()).hexdigest()
        answers[f"{draft} {photo}"] = [square, its["classify"](photo).tolist()]
print(json.dumps(answers))
"""


@pytest.mark.parametrize("format_", ["paddle", pytest.param("onnx", marks=needs_onnx)])
def test_the_example_answers_as_we_do_without_us(
    format_: str, run: Path, photo_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if format_ == "onnx":
        folder = request.getfixturevalue("onnx").folder
    else:
        folder = tmp_path / "exported"
        export(run, folder)
    photos = odd_photos(tmp_path / "odd", next((photo_folder / "Green").iterdir()))
    command = [sys.executable, "-c", CHILD, str(folder / "example.py"), *map(str, photos)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == 2 * len(photos) == 22
    classifier = load_classifier(run)
    for draft in (True, False):
        contract = classifier.preprocessing.model_copy(update={"draft": draft})
        for photo in photos:
            square = contract.load(photo)
            pixels, found = answers[f"{draft} {photo}"]
            assert pixels == hashlib.sha256(square.tobytes()).hexdigest(), (draft, photo.name)
            off = logit_rounding(classifier, square[None]) / 2
            assert found == pytest.approx(classifier.probabilities(square[None])[0], abs=off)


@pytest.mark.parametrize(("threshold", "doubt"), [(0.0, ""), (2.0, "not sure, perhaps ")])
def test_the_example_prints_species_probability_and_doubt(
    threshold: float,
    doubt: str,
    run: Path,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(run, tmp_path / "run")
    store_calibration(tmp_path / "run", Calibration(temperature=2.0, threshold=threshold, photos=6))
    export(tmp_path / "run", tmp_path / "exported", "pdparams")
    photo = next((photo_folder / "Green").iterdir())
    monkeypatch.setattr(sys, "argv", ["example.py", str(photo)])
    runpy.run_path(str(tmp_path / "exported" / "example.py"))
    classifier = load_classifier(run)
    logits = classifier.logits(classifier.preprocessing.load(photo)[None])
    probabilities = Calibration(temperature=2.0).probabilities(logits)[0]
    best = int(probabilities.argmax())
    assert capsys.readouterr().out == f"{photo}: {doubt}{SHOWN[best]} {probabilities[best]:.1%}\n"


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


# What cannot be


def test_photos_that_have_moved_give_way_to_noise(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    file = run / "checkpoints" / "best.safetensors"
    outcome = run_main(main, file, "--format", "pdparams", "--output", tmp_path / "a")
    assert outcome.code == 0
    assert "on 16 pictures of drawn noise (the validation photos are not there)" in outcome.out


class Moody(nn.Layer):
    """Answers by something that a program does not see."""

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, num_classes)
        self.calls = 0

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        self.calls += 1
        return self.fc(x.mean([2, 3])) * (1.0 if self.calls % 2 else 3.0)


class Untraceable(Moody):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(paddle.to_tensor(np.asarray(x.numpy()).mean((2, 3))))


class Rare(Moody):
    """Uses what ONNX does not have."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(paddle.linalg.svd(x[:, :, :4, :4])[1].mean(-1))


def odd_run(kind: type[Moody], folder: Path, patch: pytest.MonkeyPatch) -> Path:
    patch.setattr(registry, "_networks", dict(registry._networks))
    registry.register_model("odd")(kind)
    return make_run(folder / "run", folder, "odd", 8)


def test_a_network_that_answers_differently_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    run = odd_run(Moody, tmp_path, monkeypatch)
    outcome = run_main(main, run, "--output", tmp_path / "new" / "a")
    assert outcome.code == 2
    assert (
        f"{tmp_path / 'new' / 'a'}: not written, because the exported network's probabilities" in outcome.err
    )
    assert "0.0001 is allowed" in outcome.err
    assert names(tmp_path) == {"run"}


def test_a_difference_that_probabilities_hide_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    run = odd_run(Moody, tmp_path, monkeypatch)
    monkeypatch.setattr(Calibration, "probabilities", lambda self, logits: np.ones_like(logits))
    outcome = run_main(main, run, "--output", tmp_path / "a")
    assert outcome.code == 2
    assert "differ by 0.0e+00 (logits by " in outcome.err
    assert names(tmp_path) == {"run"}


def test_a_network_that_cannot_be_traced_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    run = odd_run(Untraceable, tmp_path, monkeypatch)
    outcome = run_main(main, run, "--output", tmp_path / "a")
    assert outcome.code == 2
    assert outcome.err.startswith("error: Untraceable: cannot be traced into a program (")
    assert names(tmp_path) == {"run"}
    assert run_main(main, run, "--format", "pdparams", "--output", tmp_path / "a").code == 0


@needs_onnx
def test_a_network_that_the_converter_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    run = odd_run(Rare, tmp_path, monkeypatch)
    outcome = run_main(main, run, "--format", "onnx", "--output", tmp_path / "a")
    assert outcome.code == 2
    assert "format onnx: the converter refused this network at opset 17 (" in outcome.err
    assert "unsupported operators" in outcome.err
    assert names(tmp_path) == {"run"}


@needs_onnx
def test_an_opset_that_the_converter_refuses(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    outcome = run_main(main, run, "--format", "onnx", "--opset", 99, "--output", tmp_path / "a")
    assert outcome.code == 2
    assert "format onnx: the converter refused this network at opset 99 (" in outcome.err
    assert "opset version" in outcome.err
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", onnx_file.PACKAGES)
def test_a_missing_package_is_named_with_its_extra(
    name: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_main: RunMain
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda wanted: None if wanted == name else object())
    outcome = run_main(main, run, "--format", "onnx", "--output", tmp_path / "a")
    assert outcome.code == 2
    assert f"{name} is not installed; install what it needs with: pip install '.[onnx]'" in outcome.err
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("paddle_version", "converter", "right"), [("2.6.2", "2.1.0", "< 2"), ("3.3.1", "1.3.1", ">= 2.1")]
)
def test_a_converter_for_another_paddle_is_refused(
    paddle_version: str, converter: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(onnx_file, "version", lambda name: converter)
    monkeypatch.setattr(paddle, "__version__", paddle_version)
    with pytest.raises(UserError, match=re.escape(f"pip install 'paddle2onnx {right}'")):
        onnx_file.check_packages()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "torch"), "format: found 'torch'; choose paddle, onnx or pdparams"),
        (("--int8",), "--int8: is of ONNX files only; add --format onnx"),
        (("--opset", 13), "--opset: is of ONNX files only; add --format onnx"),
        (("--format", "onnx", "--int8", "--opset", 12), "opset: found 12; --int8 needs 13 or more"),
    ],
)
def test_impossible_wishes(
    arguments: tuple[object, ...], words: str, run: Path, tmp_path: Path, run_main: RunMain
) -> None:
    outcome = run_main(main, run, "--output", tmp_path / "a", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert names(tmp_path) == set()


def test_runs_that_are_none(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    (tmp_path / "empty").mkdir()
    for place, words in (("gone", "no such run folder"), ("empty", "holds no trained network")):
        outcome = run_main(main, tmp_path / place, "--output", tmp_path / "a")
        assert outcome.code == 2
        assert f"{tmp_path / place}: {words}" in outcome.err
    export(run, tmp_path / "exported", "pdparams")
    outcome = run_main(main, tmp_path / "exported", "--output", tmp_path / "a")
    assert f"{tmp_path / 'exported'}: was exported already" in outcome.err


def test_an_unfinished_run_is_exported_only_when_that_is_meant(
    run: Path, tmp_path: Path, run_main: RunMain
) -> None:
    unfinished = tmp_path / "run"
    shutil.copytree(run, unfinished)
    (unfinished / "checkpoints" / "last.safetensors").touch()
    outcome = run_main(main, unfinished, "--format", "pdparams", "--output", tmp_path / "a")
    assert outcome.code == 2
    assert f"{unfinished}: its training is not finished; continue it with:" in outcome.err
    best = unfinished / "checkpoints" / "best.safetensors"
    assert str(best) in outcome.err
    assert run_main(main, best, "--format", "pdparams", "--output", tmp_path / "a").code == 0


def test_an_output_that_is_there_stays(run: Path, tmp_path: Path, run_main: RunMain) -> None:
    (tmp_path / "a").mkdir()
    outcome = run_main(main, run, "--output", tmp_path / "a")
    assert (outcome.code, list((tmp_path / "a").iterdir())) == (2, [])
    assert f"{tmp_path / 'a'}: exists already" in outcome.err
