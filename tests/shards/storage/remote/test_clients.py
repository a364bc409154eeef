"""How many clients and connections there are, and which time limits their requests have."""

import http.server
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import StoreError
from tagmill.shards.storage import hedge
from tagmill.shards.storage.remote import clients
from tagmill.shards.storage.remote.clients import LONGEST_SECONDS, SILENCE_SECONDS, SLOWEST, reading, writing
from tagmill.shards.storage.store import Retries, Store


@given(st.integers(0, 1 << 42))
def test_limits_suit_the_length_and_are_of_few_classes(size: int) -> None:
    for patience in (reading(size), writing(size)):
        assert patience.total >= min(LONGEST_SECONDS, SILENCE_SECONDS + size / SLOWEST)
    assert reading(size).silence == SILENCE_SECONDS and writing(size).silence is None
    assert reading(size) in {reading(0), reading(1 << 50)} and len({reading(0), reading(1 << 50)}) == 2
    assert writing(size) in {writing(0), writing(1 << 26), writing(1 << 40)}


class Counting(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256
    connections = requests = 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """A service of S3 with one object, which counts connections and requests."""
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            with lock:
                server.connections += 1
            super().setup()

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            with lock:
                server.requests += 1
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(206 if "Range" in self.headers else 200)
            body = b"" if self.command == "PUT" else b"0123"
            head = {"ETag": '"e"', "Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT", "Content-Length": str(len(body))}
            if "Range" in self.headers:
                head["Content-Range"] = "bytes 0-3/4"
            for name, value in head.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_PUT = do_HEAD = do_GET  # noqa: N815

    server = Counting(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "r"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for name in ("FIRST_SECONDS", "FLOOR_SECONDS"):
        monkeypatch.setattr(hedge, name, 60.0)
    clients.client.cache_clear()
    yield server
    server.shutdown()
    server.server_close()
    clients.client.cache_clear()


def test_connections_are_reused(server: Counting) -> None:
    """One for reads and one for writes; a connection is free again a moment after its answer, so a few more may be."""
    store = Store("s3://bucket")
    for _ in range(20):
        assert store.read("a") == store.read_range("a", 0, 4, 4) == b"0123" and store.size("a") == 4
        store.put("b", b"x")
    assert server.requests == 80 and 2 <= server.connections < 10  # without reuse 80
    assert clients.client.cache_info().currsize == 2


def test_connections_are_reused_by_many_threads(server: Counting) -> None:
    store = Store("s3://bucket")
    with ThreadPoolExecutor(8) as pool:
        assert all(data == b"0123" for data in pool.map(lambda _: store.read("a"), range(200)))
    assert server.requests == 200 and server.connections < 50  # without reuse 200


def test_other_keys_are_another_client(server: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    Store("s3://bucket").read("a")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    Store("s3://bucket").read("a")
    assert clients.client.cache_info().currsize == 2 and server.connections == 2


@pytest.mark.parametrize(
    ("url", "given", "what"),
    [
        ("gs://b", {"GOOGLE_SERVICE_ACCOUNT_KEY": "no json"}, "cannot connect to this store"),
        ("az://b", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "no base 64!"}, "cannot connect"),
    ],
)
def test_settings_without_sense_are_one_line(
    monkeypatch: pytest.MonkeyPatch, url: str, given: dict[str, str], what: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=what) as caught:
        Store(url, Retries(tries=1)).read("a")
    assert "\n" not in str(caught.value)


FAULTS = """
import resource, sys
from tagmill.shards.storage.remote.clients import keep_freed_memory
if sys.argv[1:]:
    keep_freed_memory()

def answers():
    for _ in range(100):
        answer = bytearray(1 << 20)
        copy = bytes(answer)

answers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
answers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_answers_reuse_the_memory_of_earlier_ones() -> None:
    """Counted in page faults of two processes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}

    def faults(*flags: str) -> int:
        command = [sys.executable, "-c", FAULTS, *flags]
        return int(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)

    assert 10 * faults("keep") < faults()
