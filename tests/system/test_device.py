"""Choosing a place to compute on, and the settings Paddle reads when it is imported.

No test needs a graphics card: stand-ins take Paddle's part.
"""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import paddle
import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.system import device
from paddle_wrn.system.device import (
    Device,
    available_cores,
    check_paddle,
    prepare_environment,
    select_device,
)

ROOT = Path(__file__).parents[2]


class Machine:
    """Stands for a machine with graphics cards; remembers which place was set."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.place = "none"
        self.patch = patch

    def has(self, *, cuda: bool = True, gpus: int = 0, broken: Exception | None = None) -> "Machine":
        def set_device(name: str) -> None:
            if name.startswith("gpu") and broken is not None:
                raise broken
            self.place = name

        self.patch.setattr(paddle.device, "is_compiled_with_cuda", lambda: cuda)
        self.patch.setattr(paddle.device.cuda, "device_count", lambda: gpus)
        self.patch.setattr(paddle, "set_device", set_device)
        return self


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize(
    ("request_", "name", "reason"),
    [
        ("auto", "gpu:0", "a working GPU was found"),
        ("gpu", "gpu:0", "as asked"),
        ("gpu:1", "gpu:1", "as asked"),
        ("cpu", "cpu", "as asked"),
    ],
)
def test_a_working_gpu_is_taken(request_: str, name: str, reason: str, machine: Machine) -> None:
    machine.has(gpus=2)
    chosen = select_device(request_)
    assert chosen == Device(name, reason)
    assert machine.place == name
    assert chosen.is_gpu == name.startswith("gpu")


OBSTACLES = [
    ({"cuda": False}, "built without GPU support"),
    ({"gpus": 0}, "no GPU is visible"),
    (
        {"gpus": 1, "broken": RuntimeError("long story\nCUDA error(35)")},
        r"does not work .*\(CUDA error\(35\)\)",
    ),
    ({"gpus": 1, "broken": MemoryError()}, r"does not work .*\(MemoryError\)"),
]


@pytest.mark.parametrize(("hardware", "obstacle"), OBSTACLES)
def test_auto_falls_back_to_the_processor_and_says_why(
    hardware: dict[str, object], obstacle: str, machine: Machine
) -> None:
    machine.has(**hardware)  # type: ignore[arg-type]
    chosen = select_device("auto")
    assert chosen.name == machine.place == "cpu"
    assert re.search(obstacle, chosen.reason)


@pytest.mark.parametrize(("hardware", "obstacle"), OBSTACLES)
@pytest.mark.parametrize("request_", ["gpu", "gpu:0"])
def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error(
    request_: str, hardware: dict[str, object], obstacle: str, machine: Machine
) -> None:
    machine.has(**hardware)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"^device {request_}: .*{obstacle}.*; use --device cpu"):
        select_device(request_)


def test_an_index_beyond_the_cards_is_an_error(machine: Machine) -> None:
    machine.has(gpus=2)
    with pytest.raises(UserError, match=r"device gpu:2: only 2 GPU\(s\) are visible"):
        select_device("gpu:2")


def test_a_card_that_computes_wrongly_is_not_taken(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has(gpus=1)
    monkeypatch.setattr(paddle, "ones", lambda shape: paddle.zeros(shape))
    chosen = select_device("auto")
    assert (chosen.name, chosen.reason) == ("cpu", "GPU 0 computes wrongly")


@pytest.mark.parametrize(
    "request_", ["", "tpu", "GPU", "gpu:", "gpu:x", "gpu:-1", "gpu:1:2", "cuda:0", "cpu:0"]
)
def test_nonsense_is_refused(request_: str, machine: Machine) -> None:
    machine.has(gpus=1)
    with pytest.raises(UserError, match=f"found {request_!r}; choose auto, cpu, gpu or gpu:N"):
        select_device(request_)
    assert machine.place == "none"


def test_without_stand_ins_the_processor_works() -> None:
    assert select_device("cpu").name == "cpu"
    assert paddle.ones([2]).sum().item() == 2


# The environment


def test_all_cores_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_cores", lambda: 6)
    environment: dict[str, str] = {}
    prepare_environment(environment)
    assert environment["FLAGS_paddle_num_threads"] == "6"
    assert "OMP_NUM_THREADS" not in environment  # Paddle warns of it when it is above 1
    assert available_cores() >= 1


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_is_amd", lambda: True)
    chosen = {"OMP_NUM_THREADS": "1", "FLAGS_paddle_num_threads": "3", "MKL_DEBUG_CPU_TYPE": "4"}
    chosen["GLOG_minloglevel"] = "0"
    environment = dict(chosen)
    prepare_environment(environment)
    assert environment == chosen


def test_an_empty_number_of_threads_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_cores", lambda: 6)
    environment = {"OMP_NUM_THREADS": ""}
    prepare_environment(environment)
    assert environment["FLAGS_paddle_num_threads"] == "6"


def test_the_users_number_of_threads_holds_for_paddle_too() -> None:
    environment = {"OMP_NUM_THREADS": "1"}
    prepare_environment(environment)
    assert environment["FLAGS_paddle_num_threads"] == "1"


def test_what_paddle_tells_its_own_developers_is_not_shown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare_environment({})
        warnings.warn("No ccache found. Please be aware that recompiling ...", UserWarning, stacklevel=1)
        warnings.warn(
            "When training, we now always track global mean and variance.", UserWarning, stacklevel=1
        )
        with pytest.raises(UserWarning, match="for everybody"):
            warnings.warn("for everybody", UserWarning, stacklevel=1)


@pytest.mark.parametrize("amd", [True, False])
def test_the_fast_path_is_forced_on_amd_only(amd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_is_amd", lambda: amd)
    environment: dict[str, str] = {}
    prepare_environment(environment)
    assert ("MKL_DEBUG_CPU_TYPE" in environment) == amd


@pytest.mark.parametrize(
    ("content", "amd"),
    [("vendor_id : AuthenticAMD", True), ("vendor_id : GenuineIntel", False), (None, False)],
)
def test_amd_is_told_from_others(content: str | None, amd: bool, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content)
    assert device._is_amd(tmp_path / "cpuinfo") is amd


# Which Paddle is installed


def install(patch: pytest.MonkeyPatch, *distributions: str) -> None:
    """Make it look as if exactly these were installed."""

    def version(name: str) -> str:
        if name not in distributions:
            raise importlib.metadata.PackageNotFoundError(name)
        return "3.0"

    find_spec: Callable[[str], object] = lambda name: object() if distributions else None  # noqa: E731
    patch.setattr(importlib.metadata, "version", version)
    patch.setattr(importlib.util, "find_spec", find_spec)


@pytest.mark.parametrize("one", ["paddlepaddle", "paddlepaddle-gpu", "paddlepaddle-nightly"])
def test_one_paddle_is_right(one: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, one)
    check_paddle()


@pytest.mark.parametrize(
    ("distributions", "sentence"),
    [
        ((), "PaddlePaddle is not installed; install one with: pip install paddlepaddle"),
        (("paddlepaddle", "paddlepaddle-gpu"), "run: pip uninstall -y paddlepaddle paddlepaddle-gpu"),
    ],
    ids=["none", "both"],
)
def test_no_paddle_or_two_is_an_error(
    distributions: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, *distributions)
    with pytest.raises(UserError, match=re.escape(sentence)):
        check_paddle()


@pytest.fixture
def without_paddle(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which Python finds no Paddle."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata, importlib.util, sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'paddle':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'paddle' else found(name, *rest)\n"
    )
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


@pytest.mark.parametrize("module", ["train", "predict"])
def test_a_command_without_paddle_is_one_sentence(module: str, without_paddle: dict[str, str]) -> None:
    command = [sys.executable, "-m", f"paddle_wrn.{module}", "--help"]
    done = subprocess.run(command, env=without_paddle, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: PaddlePaddle is not installed; install one with: ")


def test_an_import_without_paddle_is_an_import_error(without_paddle: dict[str, str]) -> None:
    code = "try:\n    import paddle_wrn\nexcept ImportError as error:\n    print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=without_paddle, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("PaddlePaddle is not installed")
