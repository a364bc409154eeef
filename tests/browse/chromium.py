"""Opens a page in a headless Chromium and says what it did there."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@dataclass(frozen=True)
class Opened:
    """A page after its scripts ran, if any did."""

    dom: str
    console: list[str]  # messages, among them those of the content security policy


def open_page(page: Path | str, folder: Path) -> Opened:
    """Opens a file or address with an empty profile in `folder`."""
    assert CHROMIUM is not None
    address = page.as_uri() if isinstance(page, Path) else page
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr"]
    done = subprocess.run([CHROMIUM, *flags, "--dump-dom", address], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return Opened(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Yields the address of a server on loopback, and the list of the requests that it gets."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()
    thread.join()
