"""A proxy before an S3 service, in a process of its own: answers late, sometimes badly, and counts.

tests/shards/faults.py does the same in Python's event loop, which takes a whole core for 350 MB/s. Here each connection
has a thread, and bodies pass from socket to socket in the kernel (splice), so that the proxy leaves the cores to the
service and its client: its own processor time is counted too.
"""

import argparse
import ctypes
import fcntl
import json
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tagmill.bench import processes

COUNTS, REQUESTS, FAULTS = "/counts", "/requests", "/faults"  # paths of the control port
KINDS = ("busy", "reset", "short")  # faults of tests/shards/faults.py that it knows
HEAD, PIPE = 4096, 1 << 20  # bytes: of a read that ends in a body, which it copies; of a pipe
F_SETPIPE_SZ = 1031  # fcntl(2)
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


@dataclass(frozen=True)
class Asked:
    """One request; `number` counts them as they came, `size` is the length of the body that was returned, `range` the
    header, `status` 0 if the client did not wait for the end."""

    number: int
    method: str
    path: str
    range: str
    status: int
    size: int
    fault: str


@dataclass
class Behaviour:
    """Seconds before every answer, the share of each fault, and what was seen since the last change."""

    latency: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    begun: int = 0
    first: int = 1  # number of the first request since the last change
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    generator: random.Random = field(default_factory=random.Random)

    def change(self, latency: float = 0.0, seed: int = 0, **shares: float) -> None:
        """Sets the behaviour and forgets what was seen; requests that are on their way, of a client that was killed, are
        not counted. Raises ValueError for a fault that it does not know."""
        if unknown := shares.keys() - set(KINDS):
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        with self.lock:
            self.latency, self.shares, self.generator = latency, shares, random.Random(seed)
            self.asked, self.in_flight, self.most_in_flight, self.first = [], 0, 0, self.begun + 1

    def begin(self) -> tuple[int, str]:
        """Counts a request in; returns its number, and its fault or ''."""
        with self.lock:
            self.in_flight += 1
            self.begun += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            place = self.generator.random()
            for kind in KINDS:
                if place < (share := self.shares.get(kind, 0.0)):
                    return self.begun, kind
                place -= share
            return self.begun, ""

    def end(self, asked: Asked) -> None:
        """Counts a request out."""
        with self.lock:
            if asked.number >= self.first:
                self.in_flight -= 1
                self.asked.append(asked)

    def counts(self) -> dict[str, float]:
        """Returns the totals since the last change, and processor seconds of this process since its start."""
        with self.lock:
            asked, most = list(self.asked), self.most_in_flight
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "requests": len(asked),
            "answered_bytes": sum(each.size for each in asked),
            "failed_requests": sum(bool(each.fault) for each in asked),
            "most_in_flight": most,
            "proxy_cpu_seconds": used.ru_utime + used.ru_stime,
        }


class Connection:
    """A client's connection and the one to the service behind it; the methods run in its thread."""

    def __init__(self, client: socket.socket, service: tuple[str, int], behaviour: Behaviour) -> None:
        self._client = client
        self._behaviour = behaviour
        self._service = socket.create_connection(service)
        for each in (client, self._service):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = 0  # bytes of the last answer's body
        self._pipe = os.pipe()
        fcntl.fcntl(self._pipe[1], F_SETPIPE_SZ, PIPE)
        self._rest = {client: b"", self._service: b""}  # bytes that came after a head

    def serve(self) -> None:
        try:
            while self._exchange():
                pass
        except (OSError, EOFError):  # one side has ended its connection
            pass
        finally:
            for file in self._pipe:
                os.close(file)
            self._service.close()
            self._client.close()

    def _exchange(self) -> bool:
        """Handles one request; returns whether the connection goes on."""
        head = self._head(self._client)
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        body = self._exactly(self._client, int(header(head, b"content-length") or 0))
        number, fault = self._behaviour.begin()
        self._sent, status = 0, 0  # of an answer that the client did not wait for
        try:
            time.sleep(self._behaviour.latency)
            status, goes_on = self._answer(head + body, method, fault)
            return goes_on
        finally:
            part = header(head, b"range").decode()
            self._behaviour.end(Asked(number, method, path, part, status, self._sent, fault))

    def _answer(self, request: bytes, method: str, fault: str) -> tuple[int, bool]:
        """Returns the status of the answer, and whether the connection goes on."""
        if fault == "busy":
            content = b"" if method == "HEAD" else BUSY
            line = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
            self._client.sendall(line % len(BUSY) + content)
            self._sent = len(content)
            return 503, True
        self._service.sendall(request)
        head = self._head(self._service)
        status, chunked = int(head[9:12]), header(head, b"transfer-encoding").lower() == b"chunked"
        empty = method == "HEAD" or status in (204, 304)
        if fault == "reset":
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return status, False
        size = 0 if empty else int(header(head, b"content-length") or 0)
        if chunked and not empty:
            content = self._chunks()
            self._client.sendall(head + content)
            self._sent = len(content)
            return status, True
        self._pass_on(head, size // 2 if fault == "short" else size)
        return status, fault != "short"

    def _head(self, source: socket.socket) -> bytes:
        """Reads up to an empty line. Raises EOFError at the end of the connection."""
        found = self._rest[source]
        while (end := found.find(b"\r\n\r\n")) < 0:
            if not (more := source.recv(HEAD)):
                raise EOFError
            found += more
        self._rest[source] = found[end + 4 :]
        return found[: end + 4]

    def _exactly(self, source: socket.socket, size: int) -> bytes:
        found = self._rest[source]
        while len(found) < size:
            if not (more := source.recv(PIPE)):
                raise EOFError
            found += more
        self._rest[source] = found[size:]
        return found[:size]

    def _pass_on(self, head: bytes, size: int) -> None:
        """Sends a head, and `size` bytes of the service's body, without copying them."""
        begun = self._rest[self._service][:size]
        self._rest[self._service] = self._rest[self._service][size:]
        self._client.sendall(head + begun, socket.MSG_MORE if size > len(begun) else 0)
        self._sent, left, (read, write) = len(begun), size - len(begun), self._pipe
        source, target = self._service.fileno(), self._client.fileno()
        while left:
            if not (inside := os.splice(source, write, min(left, PIPE))):
                raise EOFError
            left -= inside
            while inside:
                passed = os.splice(read, target, inside)
                inside, self._sent = inside - passed, self._sent + passed

    def _chunks(self) -> bytes:
        """Returns a chunked body as it came."""
        found = b""
        while True:
            while b"\r\n" not in self._rest[self._service]:
                self._rest[self._service] += self._service.recv(HEAD)
            line = self._exactly(self._service, self._rest[self._service].index(b"\r\n") + 2)
            size = int(line.split(b";")[0], 16)
            found += line + self._exactly(self._service, size + 2)
            if not size:
                return found


def header(head: bytes, name: bytes) -> bytes:
    """Returns the value of a header; empty if there is none."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


class Server:
    """Accepts connections on a free port of loopback, in a thread of its own."""

    def __init__(self, service: tuple[str, int], behaviour: Behaviour) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._service, self._behaviour = service, behaviour
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            connection = Connection(client, self._service, self._behaviour)
        except OSError:  # the service is gone
            client.close()
            return
        connection.serve()


def control(behaviour: Behaviour, root: int, daemons: list[str]) -> ThreadingHTTPServer:
    """Returns a server on a free port that tells the counts and the requests, and takes another behaviour. The service
    is the processes below `root` with the names `daemons`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == REQUESTS:
                self._send([asdict(each) for each in list(behaviour.asked)])
            else:
                service = sum(processes.cpu_by_name(root, daemons).values())
                self._send({**behaviour.counts(), "service_cpu_seconds": service})

        def do_PUT(self) -> None:
            behaviour.change(**json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._send({})

        def _send(self, found: Any) -> None:
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@dataclass(frozen=True)
class LateProxy:
    """A running proxy: clients use `endpoint`; `url` is its control port."""

    endpoint: str
    url: str

    def behave(self, latency: float = 0.0, seed: int = 0, **shares: float) -> None:
        """Sets seconds of latency and the share of each fault, and forgets the requests so far."""
        _call(self.url + FAULTS, {"latency": latency, "seed": seed, **shares})

    def counts(self) -> dict[str, float]:
        """Returns requests, bytes and failures since `behave`, and processor seconds of the proxy and of the service."""
        found: dict[str, float] = _call(self.url + COUNTS)
        return found

    def requests(self) -> list[Asked]:
        """Returns the answered requests since `behave`, in the order in which they came."""
        return sorted((Asked(**each) for each in _call(self.url + REQUESTS)), key=lambda asked: asked.number)


def _call(url: str, given: Any = None) -> Any:
    body = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(url, body, method="GET" if body is None else "PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.loads(answer.read())


@contextmanager
def late_proxy(endpoint: str, daemons: Sequence[str]) -> Iterator[LateProxy]:
    """Runs the proxy before the service at `endpoint`, whose processes are those below this one with the names
    `daemons`."""
    command = [sys.executable, "-m", "tagmill.bench.late_proxy", endpoint, *daemons]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield LateProxy(**json.loads(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint", help="of the service, for example http://127.0.0.1:8000")
    parser.add_argument("daemons", nargs="*", help="names of processes below the parent whose processor time is told")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)  # also if the parent is killed
    place, behaviour = urlsplit(options.endpoint), Behaviour()
    server = Server((str(place.hostname), int(place.port or 80)), behaviour)
    told = control(behaviour, os.getppid(), options.daemons)
    here = "http://127.0.0.1"
    print(json.dumps({"endpoint": f"{here}:{server.port}", "url": f"{here}:{told.server_port}"}), flush=True)
    with suppress(KeyboardInterrupt):
        told.serve_forever()


if __name__ == "__main__":
    main()
