"""Single requests: through TLS and proxies, to checked addresses, on a connection that is closed afterwards."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tagmill.ingest.http import single_request, sockets
from tagmill.ingest.http.answers import Expectation, Reply
from tagmill.ingest.http.opt_out import Obeyed
from tagmill.ingest.http.single_request import (
    LENIENT_AFTER,
    LENIENT_SECONDS,
    MAX_LENIENT_HOSTS,
    LenientHosts,
    SingleRequest,
    send_once,
)
from tagmill.ingest.http.sockets import SocketFactory
from tagmill.ingest.reasons import Reason

ODD = b"HTTP/1.1 200 OK\r\nContent-Length : 6\r\nContent-Length: 6\r\n\r\npixels"
PICTURE = Expectation("image/jpeg", 1000, 5)


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Starts a server on loopback that calls `talk` for each connection and closes it; returns its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def each(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=each, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()


def head_of(connection: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n") and (block := connection.recv(1)):
        head += block
    return head.decode()


def ask(url: str, port: int, proxy: str | None = None, *, public_only: bool = False, connect: float = 5.0) -> Reply:
    asking = SingleRequest(
        URL(url, encoded=True), ("127.0.0.1", port), proxy, "tagmill/1", connect, Obeyed(frozenset())
    )

    async def run() -> Reply:
        async with asyncio.timeout(10):
            return await send_once(asking, SocketFactory(public_only=public_only, most=100), PICTURE)

    return asyncio.run(run())


def test_a_request_is_complete_and_its_connection_is_closed_after_the_answer() -> None:
    heads: list[str] = []
    ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(ODD + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        with suppress(ConnectionResetError):  # more had come than was read
            assert connection.recv(1) == b""
        ended.set()

    with server(talk) as port:
        reply = ask(f"http://me:p%40ss@a.example:{port}/%7ex?y=%2F", port)
        assert ended.wait(10)
    assert (reply.body, reply.http_status) == (b"pixels", 200)
    assert heads[0].splitlines() == [
        "GET /%7ex?y=%2F HTTP/1.1",
        f"Host: a.example:{port}",
        "User-Agent: tagmill/1",
        *["Accept: image/jpeg", "Accept-Encoding: identity", "Connection: close", "Authorization: Basic bWU6cEBzcw=="],
        "",
    ]


def test_a_private_address_is_refused_where_the_socket_is_made() -> None:
    seen: list[str] = []
    with server(lambda connection: seen.append(head_of(connection))) as port:
        reply = ask("http://a.example/", port, public_only=True)
    assert (reply.reason, reply.host_failed, seen) == (Reason.PRIVATE_ADDRESS, None, [])


def test_failures_are_replies_with_a_reason() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        reply = ask("http://a.example/", taken.getsockname()[1])
        assert (reply.reason, reply.detail, reply.retryable, reply.host_failed) == (
            Reason.CONNECTION,
            "refused",
            True,
            True,
        )
    with server(lambda connection: None) as port:
        reply = ask("http://a.example/", port)
        assert (reply.reason, reply.retryable, reply.host_failed) == (Reason.CONNECTION, True, True)
    with server(lambda connection: connection.sendall(ODD[:-1])) as port:
        reply = ask("http://a.example/", port)
        assert (reply.reason, reply.http_status, reply.retryable) == (Reason.TRUNCATED, 200, True)
    with server(lambda connection: connection.sendall(b"nonsense\n")) as port:
        reply = ask("http://a.example/", port)
        assert (reply.reason, reply.detail, reply.retryable) == (Reason.BAD_HEADERS, "no HTTP status line", False)


def test_a_body_is_read_no_further_than_it_may_be_long() -> None:
    sent: list[int] = []

    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for number in range(10_000):
            sent.append(number)
            connection.sendall(bytes(65_536))

    with server(talk) as port:
        reply = ask("http://a.example/", port)
    assert (reply.reason, reply.detail) == (Reason.TOO_BIG, "more than 1000 bytes")
    assert len(sent) < 1000  # what sockets buffer


def test_a_silent_tls_host_times_out() -> None:
    waiting = threading.Event()
    with server(lambda connection: (waiting.wait(10), None)[1]) as port:
        reply = ask("https://a.example/", port, connect=0.2)
        waiting.set()
    assert (reply.reason, reply.detail, reply.retryable) == (Reason.TIMEOUT, "no connection in time", True)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """The context of a server with a trusted certificate for a.example."""
    if (tool := shutil.which("openssl")) is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a.example"]
    names = ["-addext", "subjectAltName=DNS:a.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([tool, "req", *words, *names], check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    with pytest.MonkeyPatch.context() as patch:
        trusting = ssl.create_default_context(cafile=str(certificate))
        patch.setattr(single_request, "_tls", lambda: trusting)
        yield serving


def test_tls_certificates_are_checked_against_the_host_name(tls: ssl.SSLContext) -> None:
    def talk(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as secure:
            head_of(secure)
            secure.sendall(ODD)

    with server(talk) as port:
        assert ask(f"https://a.example:{port}/x", port).body == b"pixels"
        reply = ask(f"https://b.example:{port}/x", port)
    assert (reply.reason, reply.retryable, reply.body) == (Reason.CONNECTION, False, None)
    assert reply.detail is not None and reply.detail.startswith("TLS certificate: ")


@pytest.mark.parametrize(("injected", "body"), [(b"", b"pixels"), (ODD, None)])
def test_a_proxy_connects_us_and_cannot_speak_for_the_host(
    tls: ssl.SSLContext, injected: bytes, body: bytes | None
) -> None:
    """Bytes that it sends after its answer are read as TLS, and fail as TLS."""
    heads: list[str] = []

    def talk(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(b"HTTP/1.1 200 Connected\r\nX: y\r\n\r\n" + injected)
        with tls.wrap_socket(connection, server_side=True) as secure:
            heads.append(head_of(secure))
            secure.sendall(ODD)

    with server(talk) as port:
        reply = ask("https://a.example/x", port, f"http://me:secret@127.0.0.1:{port}")
    assert reply.body == body and (body is not None or reply.reason == Reason.CONNECTION)
    assert heads[0].splitlines()[:2] == ["CONNECT a.example:443 HTTP/1.1", "Host: a.example:443"]
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in heads[0]
    assert not any("secret" in head or "Proxy-Authorization" in head for head in heads[1:])


@pytest.mark.parametrize(
    ("answer", "detail", "retryable"),
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "the proxy answered HTTP 403", False),
        (b"HTTP/1.1 502 No\r\n\r\n", "the proxy answered HTTP 502", True),
        (b"what\r\n\r\n", "the proxy gave no answer", False),
        (b"", "the proxy gave no answer", True),
        (b"x" * 70_000, "the proxy gave no answer", True),
    ],
)
def test_a_proxy_that_does_not_connect_us(answer: bytes, detail: str, retryable: bool) -> None:
    with server(lambda connection: (head_of(connection), connection.sendall(answer))[1]) as port:
        reply = ask("https://a.example/", port, f"http://127.0.0.1:{port}")
    assert (reply.reason, reply.detail, reply.retryable) == (Reason.CONNECTION, detail, retryable)
    assert reply.host_failed is None


def test_a_proxy_is_asked_for_the_whole_url() -> None:
    heads: list[str] = []

    def talk(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(ODD)

    with server(talk) as port:
        assert ask("http://me:word@a.example/x?y", port, f"http://you:pass@127.0.0.1:{port}").body == b"pixels"
    assert heads[0].startswith("GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n")
    assert "Authorization: Basic bWU6d29yZA==" in heads[0] and "Proxy-Authorization: Basic eW91OnBhc3M=" in heads[0]


def test_line_breaks_cannot_inject_headers() -> None:
    assert single_request._lines(["GET /\r\nX: y HTTP/1.1", "Host: a"]) == b"GET /  X: y HTTP/1.1\r\nHost: a\r\n\r\n"


def test_lenient_hosts_expire_and_are_bounded() -> None:
    now = [0.0]
    hosts = LenientHosts(lambda: now[0])
    address: Any = ("192.0.2.1", 80)
    for _ in range(LENIENT_AFTER):
        assert hosts.get("http://a", None) is None
        hosts.refused("http://a", None, address)
    assert hosts.get("http://a", None) == address and hosts.get("http://a", "http://proxy") is None
    now[0] = LENIENT_SECONDS
    assert hosts.get("http://a", None) is None
    hosts.refused("http://a", None, address)  # one more refusal is enough
    assert hosts.get("http://a", None) == address
    hosts.forget("http://a", None)
    hosts.refused("http://a", None, address)
    assert hosts.get("http://a", None) is None
    for number in range(MAX_LENIENT_HOSTS + 5):
        hosts.refused(f"http://{number}", None, address)
    assert len(hosts._known) == MAX_LENIENT_HOSTS and ("http://5", None) in hosts._known


def test_running_out_of_files_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, info: object) -> socket.socket:
        raise OSError(next(iter(sockets.OUT_OF_FILES)), "Too many open files")

    monkeypatch.setattr(SocketFactory, "__call__", full)
    with pytest.raises(OSError, match="Too many"):
        ask("http://a.example/", 1)
