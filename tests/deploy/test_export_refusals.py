"""What cannot be exported: one sentence, and no folder that is half there."""

import re
import shutil
from pathlib import Path

import numpy as np
import paddle
import pytest
from conftest import RunMain
from paddle import nn
from untrained_runs import make_run, names, needs_onnx

from paddle_wrn.answering.calibration import Calibration
from paddle_wrn.deploy import onnx_file
from paddle_wrn.deploy.exporting import export
from paddle_wrn.errors import UserError
from paddle_wrn.export import main
from paddle_wrn.models import registry


@pytest.fixture(scope="module")
def run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with its photos; tests only read it."""
    return make_run(tmp_path_factory.mktemp("export") / "run", data_folder, strides=[2, 1, 2, 2])


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
        (("--int8",), "--int8: is for ONNX files only; add --format onnx"),
        (("--opset", 13), "--opset: is for ONNX files only; add --format onnx"),
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
    assert f"{tmp_path / 'exported'}: is an exported network already" in outcome.err


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
