"""Tests the proxy of the benchmarks: it passes bodies on unchanged, counts them, and fails as often as it should."""

import http.client
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.bench import late_proxy
from tagmill.bench.late_proxy import Asked, Behaviour, LateProxy
from tagmill.bench.remote import FAILING
from tagmill.bench.workers import environment

SIZES = (0, 1, 4000, 4096, 70_000, 3_000_001)  # bytes: around a read of a head, several pieces of a pipe
BODY = bytes(range(251)) * (max(SIZES) // 251 + 1)


class Service(BaseHTTPRequestHandler):
    """Answers /SIZE by that many bytes, a body by its length, /chunked by chunks; counts what it is asked."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (BODY[:10], BODY[:70_000], b""):
                self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
            return
        size = int(self.path[1:]) if self.path[1:].isdigit() else -1
        self._send(404 if size < 0 else 200, BODY[: max(0, size)])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self._send(200, str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[LateProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with late_proxy.late_proxy(f"http://127.0.0.1:{server.server_port}", ["python"]) as running:
            yield running
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def connection(proxy: LateProxy) -> Iterator[http.client.HTTPConnection]:
    proxy.behave()
    found = http.client.HTTPConnection(str(urlsplit(proxy.endpoint).netloc), timeout=60)
    yield found
    found.close()


def ask(connection: http.client.HTTPConnection, path: str, method: str = "GET", **given: Any) -> tuple[int, bytes]:
    connection.request(method, path, **given)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_bodies_pass_unchanged_one_after_the_other(proxy: LateProxy, connection: http.client.HTTPConnection) -> None:
    for size in SIZES:
        assert ask(connection, f"/{size}", headers={"Range": f"bytes=0-{size}"}) == (200, BODY[:size])
    assert ask(connection, "/5", "HEAD") == (200, b"")
    assert ask(connection, "/chunked") == (200, BODY[:10] + BODY[:70_000])
    assert ask(connection, "/nothing") == (404, b"")
    assert ask(connection, "/x", "PUT", body=BODY[:100_000]) == (200, b"100000")
    seen = proxy.requests()
    assert [each.path for each in seen[: len(SIZES)]] == [f"/{size}" for size in SIZES]
    assert [each.size for each in seen[: len(SIZES)]] == list(SIZES)
    assert [each.range for each in seen[: len(SIZES)]] == [f"bytes=0-{size}" for size in SIZES]
    assert [(each.method, each.status) for each in seen[len(SIZES) :]] == [
        ("HEAD", 200),
        ("GET", 200),
        ("GET", 404),
        ("PUT", 200),
    ]
    counts = proxy.counts()
    assert counts["requests"] == len(seen) and counts["answered_bytes"] == sum(each.size for each in seen)
    assert counts["failed_requests"] == 0 and counts["most_in_flight"] == 1
    assert counts["proxy_cpu_seconds"] > 0 and counts["service_cpu_seconds"] > 0


def test_counts_begin_again(proxy: LateProxy, connection: http.client.HTTPConnection) -> None:
    ask(connection, "/1")
    assert proxy.counts()["requests"] == 1
    proxy.behave()
    assert proxy.counts()["requests"] == 0 and proxy.requests() == []


def test_an_answer_is_late(proxy: LateProxy, connection: http.client.HTTPConnection) -> None:

    proxy.behave(latency=0.05)
    begun = time.monotonic()
    assert ask(connection, "/10")[1] == BODY[:10]
    assert time.monotonic() - begun >= 0.05


def test_a_busy_store_is_not_asked(proxy: LateProxy, connection: http.client.HTTPConnection) -> None:
    proxy.behave(busy=1.0)
    Service.asked.clear()
    for method in ("GET", "HEAD", "GET"):
        status, body = ask(connection, "/10", method)
        assert status == 503 and (b"SlowDown" in body) == (method == "GET")
    assert not Service.asked
    assert proxy.counts()["failed_requests"] == 3


def test_a_connection_is_reset_after_the_service_has_answered(
    proxy: LateProxy, connection: http.client.HTTPConnection
) -> None:
    proxy.behave(reset=1.0)
    Service.asked.clear()
    with pytest.raises(ConnectionResetError):
        ask(connection, "/10")
    assert Service.asked == ["/10"]


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_a_body_ends_in_its_middle(proxy: LateProxy, connection: http.client.HTTPConnection, size: int) -> None:
    proxy.behave(short=1.0)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(connection, f"/{size}")
    assert caught.value.partial == BODY[: size // 2]
    counts = proxy.counts()
    assert counts["answered_bytes"] == size // 2 and counts["failed_requests"] == 1


def test_an_answer_whose_client_has_left_is_counted(proxy: LateProxy, connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/3000001")
    answer = connection.getresponse()
    assert answer.read(100) == BODY[:100]
    answer.close()
    connection.close()
    end = time.monotonic() + 60
    while not (found := proxy.requests()) and time.monotonic() < end:
        time.sleep(0.01)
    (only,) = found
    assert only.path == "/3000001" and only.size <= 3_000_001 and only.status in (0, 200)


def test_the_counters_are_served_over_http(proxy: LateProxy) -> None:
    """The worker of a benchmark asks for them at the start and the end of its measurement."""
    proxy.behave()
    with urllib.request.urlopen(f"{proxy.url}{late_proxy.COUNTS}", timeout=60) as answer:
        assert json.loads(answer.read())["requests"] == 0


def test_it_ends_with_its_parent() -> None:
    code = """
from tagmill.bench.late_proxy import late_proxy
with late_proxy("http://127.0.0.1:9", []) as proxy:
    print(proxy.url, flush=True)
    input()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().decode().strip()
        urllib.request.urlopen(f"{url}{late_proxy.COUNTS}", timeout=60).close()
        parent.kill()
    end = time.monotonic() + 60
    with pytest.raises(OSError):
        while time.monotonic() < end:
            urllib.request.urlopen(f"{url}{late_proxy.COUNTS}", timeout=60).close()


def test_an_unknown_fault_is_refused() -> None:
    behaviour = Behaviour()
    with pytest.raises(ValueError, match="stall"):
        behaviour.change(stall=0.5)
    behaviour.change(latency=0.02, **FAILING)  # every fault of the benchmark is known


@given(st.integers(0, 1000), st.dictionaries(st.sampled_from(late_proxy.KINDS), st.floats(0, 0.33)))
def test_faults_are_a_function_of_the_seed_and_as_frequent_as_their_shares(seed: int, shares: dict[str, float]) -> None:
    drawn = []
    for _ in range(2):
        behaviour = Behaviour()
        behaviour.change(seed=seed, **shares)
        drawn.append([behaviour.begin() for _ in range(400)])
    assert drawn[0] == drawn[1]
    assert [number for number, _ in drawn[0]] == list(range(1, 401))
    for kind in late_proxy.KINDS:
        share = sum(fault == kind for _, fault in drawn[0]) / 400
        assert share == pytest.approx(shares.get(kind, 0.0), abs=0.15)  # six deviations


def seen(number: int) -> Asked:
    return Asked(number, "GET", "/", "", 200, 10, "")


def test_the_most_requests_at_a_time_are_counted() -> None:
    behaviour = Behaviour()
    behaviour.change()
    numbers = [behaviour.begin()[0] for _ in range(3)]
    behaviour.end(seen(numbers.pop(0)))
    behaviour.begin()
    assert behaviour.counts()["most_in_flight"] == 3


def test_requests_of_a_killed_client_are_not_counted() -> None:
    behaviour = Behaviour()
    behaviour.change()
    (early, _), _ = behaviour.begin(), behaviour.change()
    late, _ = behaviour.begin()
    for number in (early, late):
        behaviour.end(seen(number))
    counts = behaviour.counts()
    assert counts["requests"] == 1 and counts["answered_bytes"] == 10 and counts["most_in_flight"] == 1
    assert behaviour.in_flight == 0
