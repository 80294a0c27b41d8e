"""What all commands share: errors as one sentence with exit code 2, never a traceback.

A command is a thin file: `main(argv) -> int` reads the arguments, calls one function of a room and prints.

    @command
    def main(argv: Sequence[str] | None = None) -> int: ...

    if __name__ == "__main__":
        sys.exit(main())
"""

import argparse
import errno
import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from paddle_wrn.errors import UserError
from paddle_wrn.system.shipped import shipped_configs
from paddle_wrn.system.signals import Stopped

Main = Callable[[Sequence[str] | None], int]

EXIT_USER_ERROR = 2
EXIT_SIGNALLED = 128  # plus the number of the signal: the shell's convention

_OS_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space and run the command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the command again",
    errno.EACCES: "permission denied; choose a path you may use",
    errno.EPERM: "not permitted; choose a path you may use",
    errno.EROFS: "the file system is read-only; choose a path you may write to",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "a part of this path is a file where a folder is needed",
    errno.EISDIR: "this is a folder where a file is needed",
    errno.EEXIST: "this exists already",
    errno.ENAMETOOLONG: "the name is too long for this file system",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are a `UserError` instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise `UserError` with argparse's message and where the help is."""
        raise UserError(f"{message[0].lower()}{message[1:]} (see: {self.prog} --help)")


def parser(module: str, description: str) -> Parser:
    """Return a parser that calls itself `python -m paddle_wrn.<module>`."""
    return Parser(
        prog=f"python -m paddle_wrn.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # train takes settings besides: --device must not become --device-report
    )


def add_config_option(options: argparse.ArgumentParser) -> None:
    """Add `--config`: a file, or the name of a shipped configuration."""
    names = ", ".join(shipped_configs())
    options.add_argument(
        "--config", type=Path, help=f"YAML file of settings, or the name of a shipped one: {names}"
    )


def add_network_option(options: argparse.ArgumentParser) -> None:
    """Add `--network FILE`, which makes the networks of a user's own Python file known."""
    options.add_argument(
        "--network",
        type=Path,
        metavar="FILE",
        action=_LoadNetwork,
        help="Python file that registers a network of your own",
    )


class _LoadNetwork(argparse.Action):
    def __call__(self, *given: Any, **_: Any) -> None:
        from paddle_wrn.models.registry import load_network_file  # only now: importing Paddle takes seconds

        load_network_file(given[2])


def command(main: Main) -> Callable[..., int]:
    """Turn a user's mistake, or a disk's refusal, inside `main` into one sentence and exit code 2."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):  # what these cannot show becomes \u9e1f, as in JSON
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            code = main(argv)
            sys.stdout.flush()  # that the reader of a pipe (`| head`) has gone shows here, not at exit
            return code
        except UserError as error:
            return _complain(str(error))
        except BrokenPipeError:  # nothing left to say, and Python must not try at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            if error.errno not in _OS_ERRORS:
                raise
            where = f"{error.filename}: " if error.filename else ""
            return _complain(f"{where}{_OS_ERRORS[error.errno]}")
        except KeyboardInterrupt as stop:
            number = stop.signal if isinstance(stop, Stopped) else signal.SIGINT
            if number == signal.SIGINT:
                print("interrupted", file=sys.stderr)
            return EXIT_SIGNALLED + number

    return run


def _complain(sentence: str) -> int:
    print(f"error: {' '.join(sentence.split())}", file=sys.stderr)
    return EXIT_USER_ERROR
