"""Descriptions of connection errors."""

import errno
import socket
import ssl

import pytest

from tagmill.ingest.http.connection_errors import describe_connection_error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 80)"), "refused"),
        (ConnectionResetError(), "reset by the host"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "host unreachable"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "EADDRNOTAVAIL"),
        (OSError("Multiple exceptions: [Errno 111] ..., [Errno 101] ..."), "no connection"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no such host name"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "the name server gave no answer"),
        (ssl.SSLError(1, "[SSL: X] x (_ssl.c:1006)"), "TLS: failed"),
    ],
)
def test_connection_errors_are_described(error: OSError, words: str) -> None:
    assert describe_connection_error(error) == words
