"""What a long command says, and commands that can be pasted into a shell."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from paddle_wrn.system import console
from paddle_wrn.system.console import command_line, log, log_on_screen, log_to, shell_line


@pytest.mark.parametrize("name", ["run", "my run", "a$HOME", "it's", 'a"b', "*", "run;ls", "鸟 照片"])
def test_a_command_survives_the_shell(name: str) -> None:
    line = command_line("predict", Path("runs", name), "PHOTO")
    assert shlex.split(line) == ["python", "-m", "paddle_wrn.predict", str(Path("runs", name)), "PHOTO"]


def test_what_needs_no_quotes_has_none() -> None:
    assert command_line("train", "--data", Path("data/my_birds")) == (
        "python -m paddle_wrn.train --data data/my_birds"
    )


def test_on_windows_the_quotes_are_those_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "os", SimpleNamespace(name="nt"))
    assert shell_line("python", r"C:\my birds\example.py", r"runs\birds") == (
        r'python "C:\my birds\example.py" runs\birds'
    )


def test_a_line_is_shown_once_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with log_on_screen():
        log.info("before")
        with log_on_screen(), log_to(tmp_path / "train.log"):
            log.info("in %d", 1)
        log.info("after")
    log.info("outside")
    assert capsys.readouterr().out == "before\nin 1\nafter\n"
    (line,) = (tmp_path / "train.log").read_text("utf-8").splitlines()
    assert line.endswith("  in 1")


def test_it_shows_what_a_function_logs(capsys: pytest.CaptureFixture[str]) -> None:
    @log_on_screen()
    def work(times: int) -> int:
        log.info("working")
        return times if times == 1 else work(times - 1)

    assert (work(2), work(1)) == (1, 1)
    assert capsys.readouterr().out == "working\n" * 3
