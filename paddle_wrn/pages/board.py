"""Show the curves, pictures, weights and graphs of runs in a browser, with VisualDL.

VisualDL starts with the settings it needs today: a language (without one it answers some browsers with an
error), no telemetry, an address of this machine only, and only the pages that runs fill. It reads the runs
again while a training goes on. docs/board.md describes the pages.
"""

import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from paddle_wrn.errors import UserError
from paddle_wrn.system.serving import LOOPBACK, address_of, listen

PORT = 8040  # VisualDL's own
RECORDS = "vdlrecords"  # in the names of the files VisualDL reads
PAGES = ("scalar", "image", "histogram", "dynamic_graph")  # the first one is opened first

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def board(
    runs: Sequence[Path | str] | Path | str,
    *,
    host: str | None = None,
    port: int | None = None,
    language: str = "en",
) -> None:
    """Show runs in VisualDL until Ctrl-C.

    Args:
        runs: run folders, or folders that hold some; runs that are added to these later appear, too.
        host: address to listen on; None: 127.0.0.1.
        port: 0: any that is free; None: 8040.
        language: `en` or `zh`.

    Raises:
        UserError: a folder holds no records, or the address cannot be used.
    """
    folders = [Path(runs)] if isinstance(runs, (str, Path)) else [Path(run) for run in runs]
    for folder in folders:
        _check_records(folder)
    with listen(host or LOOPBACK, PORT if port is None else port) as taken:
        page = _visualdl(folders, language)
        print(f"VisualDL is at {address_of(taken)} (Ctrl-C ends it)", flush=True)
        _serve(page, taken)


def _check_records(folder: Path) -> None:
    if not folder.is_dir():
        problem = "is a file; give the run folder it is in" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {problem}")
    if not any(folder.rglob(f"*{RECORDS}*")):
        raise UserError(
            f"{folder}: holds no VisualDL records; training writes them into the run folder, as "
            "visualdl/vdlrecords.paddle_wrn.log"
        )


def _visualdl(folders: Sequence[Path], language: str) -> Wsgi:
    """Return VisualDL's own application."""
    from visualdl.server import app
    from visualdl.server.args import ParseArgs
    from visualdl.server.log import init_logger

    init_logger(verbose=0)  # no line for each request
    app.create_profiler_api_call = lambda folder: None  # it starts a thread that never ends
    on_interrupt = signal.getsignal(signal.SIGINT)
    settings = ParseArgs(
        logdir=[str(folder) for folder in folders],
        language=language,
        telemetry=False,
        component_tabs=list(PAGES),
        host=LOOPBACK,  # only for what VisualDL prints
    )
    application: Wsgi = app.create_app(settings)
    signal.signal(signal.SIGINT, on_interrupt)  # VisualDL would have it end the process on the spot
    return application


def _serve(application: Wsgi, taken: socket.socket) -> None:
    """Answer requests until Ctrl-C; many at a time wait for files, one at a time for VisualDL's reader."""
    from werkzeug.serving import make_server

    reading = threading.Lock()

    def one_at_a_time(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with reading:
            return application(environment, start)

    host, port = taken.getsockname()[:2]
    make_server(host, port, one_at_a_time, threaded=True, fd=taken.fileno()).serve_forever()  # until Ctrl-C
