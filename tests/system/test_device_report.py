"""What computes here, with which settings."""

from pathlib import Path

import pytest

from paddle_wrn import native
from paddle_wrn.native import device_report
from paddle_wrn.native.tape import UnsupportedError
from paddle_wrn.train import main
from tests.conftest import RunMain

REPORTED = [
    "PaddlePaddle",
    "device",
    "processor",
    "networks",
    "FLAGS_paddle_num_threads",
    "MKL_DEBUG_CPU_TYPE",
]


def lines_of(report: str) -> dict[str, str]:
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in report.splitlines()}


def test_the_command_prints_it_and_trains_nothing(run_main: RunMain, tmp_path: Path) -> None:
    outcome = run_main(main, "--device-report", "--device", "cpu", "--output", tmp_path / "run")
    assert outcome.code == 0
    assert list(lines_of(outcome.out)) == REPORTED
    assert lines_of(outcome.out)["device"] == "cpu (as asked)"
    assert not (tmp_path / "run").exists()


def test_who_chose_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGS_paddle_num_threads", "3")
    monkeypatch.setattr(device_report, "CHOSEN", {})
    monkeypatch.delenv("MKL_DEBUG_CPU_TYPE", raising=False)
    lines = lines_of(device_report.device_report("cpu"))
    assert lines["FLAGS_paddle_num_threads"] == "3 (from your environment)"
    assert lines["MKL_DEBUG_CPU_TYPE"] == "not set"
    monkeypatch.setattr(device_report, "CHOSEN", {"FLAGS_paddle_num_threads": "3"})
    lines = lines_of(device_report.device_report("cpu"))
    assert lines["FLAGS_paddle_num_threads"] == "3 (chosen by paddle_wrn)"


def test_the_processor_and_what_computes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text("processor\t: 0\nmodel name\t: Swift 9000: fast\n")

    def refuse() -> None:
        raise UnsupportedError("no oneDNN here")

    monkeypatch.setattr(native, "_library", refuse)
    monkeypatch.setattr(device_report, "available_cores", lambda: 7)
    lines = lines_of(device_report.device_report("cpu", cpu_info))
    assert lines["processor"] == "Swift 9000: fast, 7 cores for this process"
    assert lines["networks"] == "on a processor computed by Paddle itself (no oneDNN here)"
    assert lines_of(device_report.device_report("cpu", tmp_path / "none"))["processor"].endswith(
        "this process"
    )
