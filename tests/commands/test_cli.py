"""What all commands share: one sentence and exit code 2 for mistakes, help that is worth reading."""

import errno
import importlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import RunMain

from paddle_wrn.cli import command, parser
from paddle_wrn.config import describe_settings
from paddle_wrn.errors import ImageError, UserError
from paddle_wrn.system.signals import Stopped
from paddle_wrn.train import main as train_main

ROOT = Path(__file__).parents[2]
COMMANDS = ["split_data", "train", "evaluate", "predict"]


def raising(error: BaseException) -> Any:
    @command
    def main(argv: Sequence[str] | None = None) -> int:
        raise error

    return main


def test_a_commands_own_exit_code_is_kept(run_main: RunMain) -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> int:
        return len(argv or ())

    assert run_main(main, "a", "b", "c").code == 3
    assert main.__name__ == "main"


@pytest.mark.parametrize("kind", [UserError, ImageError])
def test_a_users_mistake_is_one_sentence(kind: type[UserError], run_main: RunMain) -> None:
    outcome = run_main(raising(kind("a.jpg: broken\n  in two lines")))
    assert (outcome.code, outcome.out, outcome.err) == (2, "", "error: a.jpg: broken in two lines\n")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "the file system is read-only"),
        (errno.ENOENT, "no such file or folder"),
        (errno.ENOTDIR, "a part of this path is a file"),
        (errno.EISDIR, "this is a folder where a file is needed"),
        (errno.EEXIST, "this exists already"),
        (errno.ENAMETOOLONG, "the name is too long"),
    ],
)
def test_what_the_disk_refuses_is_one_sentence(number: int, said: str, run_main: RunMain) -> None:
    outcome = run_main(raising(OSError(number, os.strerror(number), "some/file")))
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: some/file: {said}")
    assert run_main(raising(OSError(number, os.strerror(number)))).err.startswith(f"error: {said}")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "bad disk"), OSError("no number"), ValueError("a bug")])
def test_what_is_nobodys_mistake_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)):
        raising(error)()


def test_ctrl_c_ends_without_a_traceback(run_main: RunMain) -> None:
    outcome = run_main(raising(KeyboardInterrupt()))
    assert (outcome.code, outcome.err) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "")]
)
def test_work_that_a_signal_has_ended_in_good_order_says_so_by_its_exit_code(
    number: int, code: int, said: str, run_main: RunMain
) -> None:
    assert run_main(raising(Stopped(number))) == (code, "", said)


def test_what_a_library_logs_does_not_come_between_the_answers(run_main: RunMain) -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> int:
        logging.getLogger("paddle_wrn.native").info("computing at Paddle's own speed")
        print("the answer")
        return 0

    assert run_main(main) == (0, "the answer\n", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_reader_that_has_gone_ends_quietly() -> None:
    code = (
        "import sys, paddle_wrn.cli as cli\n"
        "@cli.command\n"
        "def main(argv=None):\n"
        "    sys.stdin.read()\n"
        "    print('one line')\n"
        "    return 0\n"
        "sys.exit(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "the following arguments are required: number"),
        (("x",), "argument number: invalid int value: 'x'"),
        (("1", "2"), "unrecognized arguments: 2"),
        (("1", "--colour"), "unrecognized arguments: --colour"),
    ],
)
def test_the_parser_complains_in_one_sentence(
    words: tuple[str, ...], complaint: str, run_main: RunMain
) -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> int:
        options = parser("example", "An example.")
        options.add_argument("number", type=int)
        options.parse_args(argv)
        return 0

    outcome = run_main(main, *words)
    assert outcome.code == 2
    assert outcome.err == f"error: {complaint} (see: python -m paddle_wrn.example --help)\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--optimizer.lrr", "1"), "optimizer.lrr: there is no such setting; did you mean optimizer.lr?"),
        (("--lr", "1"), "did you mean optimizer.lr?"),
        (("--batch-sise", "1"), "did you mean batch_size?"),
        (("--epochs",), "--epochs: a value must follow"),
        (("--epochs", "0"), "epochs: found 0"),
        (("--epochs", "ten"), "epochs: found 'ten'"),
        (("--epochs.more", "1"), "epochs"),
        (("--seed=-1",), "seed: found -1"),
        (("--optimizer.name", "sgdd"), "optimizer.name: found 'sgdd'"),
        (("birds",), "birds: not expected here"),
        (("-x", "1"), "-x: not expected here"),
        (("--config", "nowhere.yaml"), "nowhere.yaml: no such configuration file"),
        (("--config",), "argument --config: expected one argument"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_train_refuses_what_is_no_setting(
    words: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_main: RunMain,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_main(train_main, *words)
    assert outcome.code == 2
    assert complaint in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_command_and_every_argument(name: str, run_main: RunMain) -> None:
    outcome = run_main(importlib.import_module(f"paddle_wrn.{name}").main, "--help")
    assert outcome.code == 0
    assert f"python -m paddle_wrn.{name}" in outcome.out
    assert "options:" in outcome.out


def test_help_of_train_mentions_every_setting(run_main: RunMain) -> None:
    out = run_main(train_main, "--help").out
    for setting, meaning, _ in describe_settings():
        assert f"--{setting} " in out
        assert meaning
        assert " ".join(meaning.split()) in " ".join(out.split())
