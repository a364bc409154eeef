"""A web server on loopback for tests, which sends configured answers, true or false, and counts connections and requests."""

import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Self


@dataclass(frozen=True)
class Lie:
    """One answer: `length` is what the header claims (None: what is true), `drip` the seconds between two bytes."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None
    drip: float = 0.0
    raw: bytes | None = None  # sent instead of everything else


def redirect(to: str, status: int = 302) -> Lie:
    return Lie(status=status, headers=(("Location", to),))


class Crowd:
    """An answer that counts how many are being given at once."""

    def __init__(self, seconds: float = 0.02) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, before: int) -> Lie:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        with self._lock:
            self.now -= 1
        return Lie(b"pixels")


@dataclass
class Liar:
    """Serves `answers[path]`: an answer, or a function of the number of earlier requests for the path. Other paths are 404."""

    answers: dict[str, Lie | Callable[[int], Lie]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        liar = self
        self.hits: Counter[str] = Counter()
        self.heads: list[str] = []
        self.connections = 0
        self._lock = threading.Lock()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with liar._lock:
                    liar.connections += 1
                try:
                    while liar._exchange(self.rfile, self.wfile):
                        pass
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def _exchange(self, reader: BinaryIO, writer: BinaryIO) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline(65_536)
            if not line:
                return False
            head += line
        path = head.split(b" ")[1].decode()
        with self._lock:
            before = self.hits[path]
            self.hits[path] += 1
            self.heads.append(head.decode("latin-1"))
        lie = self.answers.get(path, Lie(b"no such thing", 404))
        if callable(lie):
            lie = lie(before)
        if lie.raw is not None:
            writer.write(lie.raw)
            return False
        length = len(lie.body) if lie.length is None else lie.length
        fields = [("Content-Length", str(length)), *lie.headers]
        writer.write(f"HTTP/1.1 {lie.status} Said\r\n".encode())
        writer.write("".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1") + b"\r\n")
        if lie.drip:
            for byte in lie.body:
                writer.write(bytes([byte]))
                writer.flush()
                time.sleep(lie.drip)
        else:
            writer.write(lie.body)
        return length == len(lie.body)
