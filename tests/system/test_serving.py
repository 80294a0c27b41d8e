"""Addresses that are taken, and those that cannot be."""

import socket

import pytest

from paddle_wrn.errors import UserError
from paddle_wrn.system.serving import address_of, listen


def test_port_0_is_one_that_is_free_and_answers_at_once() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert address_of(taken) == f"http://127.0.0.1:{port}/"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


@pytest.mark.parametrize(
    ("host", "port", "complaint"),
    [
        ("127.0.0.1", 65536, "port: found 65536; ports are numbers from 0 to 65535"),
        ("127.0.0.1", -1, "port: found -1"),
        ("x" * 64, 0, "host: found 'xxxx"),  # longer than a name may be: nobody is asked for it
        ("192.0.2.1", 0, "host 192.0.2.1 is not an address of this machine; give 127.0.0.1 or 0.0.0.0"),
    ],
)
def test_an_impossible_address_is_a_sentence(host: str, port: int, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        listen(host, port)
    assert str(caught.value).startswith(complaint)


def test_a_port_in_use_is_a_sentence_and_leaves_nothing_open() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is in use already"):
            listen("127.0.0.1", port)
    listen("127.0.0.1", port).close()
