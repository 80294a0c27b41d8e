"""Pages in a real browser: headless Chromium, and a command that serves one. Nothing leaves this machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WAIT_MS = 60_000  # far more than it takes, for machines that are busy

# Runs a module as `python -m` would; what it asks of other machines is refused and told.
_LOOPBACK_ONLY = """
import ipaddress, runpy, sys

def watch(event, arguments):
    if event not in ("socket.connect", "socket.getaddrinfo"):
        return
    place = arguments[1] if event == "socket.connect" else arguments
    host = place[0] if isinstance(place, tuple) else "localhost"  # else a Unix socket
    if host in (None, "", "localhost"):
        return
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        print("OUTSIDE", event, place, file=sys.stderr, flush=True)
        raise OSError(f"{host} is not this machine")

sys.addaudithook(watch)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@contextmanager
def serving(module: str, *arguments: object, folder: Path) -> Iterator[str]:
    """Run a command that serves a page until Ctrl-C; yield the page's address.

    That it ends cleanly and leaves nothing behind, and that it asked nothing of other machines, is part of
    every test.
    """
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    errors = folder / "stderr.txt"
    command = [sys.executable, "-c", _LOOPBACK_ONLY, module, *map(str, arguments), "--port", "0"]
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert address is not None, errors.read_text()
            yield address[0]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0, errors.read_text()
            assert process.stdout.read() == ""
            said = errors.read_text()
            assert "OUTSIDE" not in said
            assert "Traceback" not in said, said
            assert not list(temporary.glob("paddle_wrn*"))
        finally:
            process.kill()


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield headless Chromium; a test is skipped where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on this machine (on Debian: apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a camera
    flags.append("--no-sandbox")  # which root cannot do with
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


class Visit:
    """A page that is open, and where its requests went."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.page = browser.new_page(**context)
        self.page.set_default_timeout(WAIT_MS)
        self.hosts: set[str] = set()
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda request: self._note(request.url))
        self.page.goto(address)

    def _note(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.hosts.add(url.split("/")[2].split(":")[0])
