"""A web server over a folder that stops answering: `quiet` makes it take requests and say nothing to them, until it is `over`.

It serves ranges and what S3's clients look for: http://HOST/... and s3://BUCKET/... (path style) are both read from it.

    with silent(folder) as web:
        ...  # web.url; web.asked counts requests, web.silenced those that got no answer
"""

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

Refuse = Callable[[Any], tuple[int, bytes] | None]


@dataclass
class SilentWeb:
    """`after`: number of requests that are answered before it stops by itself. `refuse` may answer instead, by the
    request's headers. `headers` are added to every answer."""

    root: Path
    url: str = ""
    asked: int = 0
    after: int = 1 << 60
    refuse: Refuse = lambda headers: None
    headers: dict[str, str] = field(default_factory=dict)
    quiet: threading.Event = field(default_factory=threading.Event)
    silenced: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def silent(root: Path) -> Iterator[SilentWeb]:
    """Runs it in threads of this process."""
    web = SilentWeb(root)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.answer(with_body=False)

        do_POST = do_DELETE = do_PUT  # noqa: N815

        def answer(self, with_body: bool) -> None:
            web.asked += 1
            if web.quiet.is_set() or web.asked > web.after:
                web.silenced.release()
                web.over.wait()
                self.say(503, b"", with_body)
                return
            if (refusal := web.refuse(self.headers)) is not None:
                self.say(*refusal, self.command != "HEAD")
                return
            path = web.root / unquote(urlsplit(self.path).path).lstrip("/")
            if not path.is_file():
                self.say(404, b"", with_body)
                return
            data, size = path.read_bytes(), path.stat().st_size
            if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
                first, last = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
                extent = {"Content-Range": f"bytes {first}-{last}/{size}"}
                self.say(206, data[first : last + 1], with_body, extent)
            else:
                self.say(200, data, with_body)

        def say(self, status: int, data: bytes, with_body: bool, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            headers = {
                "Content-Length": str(len(data)),
                "Accept-Ranges": "bytes",
                "ETag": '"one"',
                **web.headers,
                **(more or {}),
            }
            headers["Last-Modified"] = "Sat, 28 Nov 2026 10:00:00 GMT"
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(data)

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 256

        def handle_error(self, request: object, client_address: object) -> None:
            """Ignores clients that disconnect, which is expected here."""

    server = Server(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        web.over.set()
        server.shutdown()
        server.server_close()
