"""What the commands that serve a page share: an address of this machine, taken or refused."""

import argparse
import errno
import socket

from paddle_wrn.errors import UserError

LOOPBACK = "127.0.0.1"

_REFUSALS = {
    errno.EADDRINUSE: "port {port} is in use already; give another one with --port (0: any that is free)",
    errno.EACCES: "port {port} needs more rights than you have; give one above 1023 with --port",
    errno.EADDRNOTAVAIL: "host {host} is not an address of this machine; give {loopback} or 0.0.0.0",
}


def add_address_options(options: argparse.ArgumentParser, port: int) -> None:
    """Add `--host` and `--port`, which are None unless they are given."""
    options.add_argument(
        "--host",
        help=f"0.0.0.0 lets every computer on the network in (default: {LOOPBACK}, this computer alone)",
    )
    options.add_argument("--port", type=int, help=f"0: any free port (default: {port})")


def listen(host: str, port: int) -> socket.socket:
    """Take a port of this machine, so that whoever opens the page now waits until it is served.

    Raises:
        UserError: the port is in use or may not be used, or the host is none of this machine's addresses.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"port: found {port}; ports are numbers from 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise UserError(
            f"host: found {host!r}, which is not a known address; give {LOOPBACK} or 0.0.0.0"
        ) from None
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        refusal = _REFUSALS[error.errno].format(host=host, port=port, loopback=LOOPBACK)
        raise UserError(refusal) from None


def address_of(taken: socket.socket) -> str:
    """Return what to type into a browser on this machine."""
    host, port = taken.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
