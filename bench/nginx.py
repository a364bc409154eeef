"""Serves a folder by nginx on a free port of loopback with its own configuration; the system's nginx is not touched."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tagmill.bench.workers import UnavailableError, last_line

SYSTEM = "/usr/sbin"  # Debian's path, which is not in every PATH
_PATIENCE = 30.0  # seconds until it answers


def program() -> str:
    """Returns the path of nginx. Raises UnavailableError if there is none."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{SYSTEM}")
    if found is None:
        raise UnavailableError("no nginx here (Debian: apt-get install nginx-light)")
    return found


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Yields the URL of the files of a folder, within the context."""
    command = [program()]
    with tempfile.TemporaryDirectory(prefix="nginx-") as place:
        port = _free_port()
        config = Path(place, "nginx.conf")
        config.write_text(_config(Path(place), folder.resolve(), port))
        with Path(place, "words").open("w+b") as words:
            process = subprocess.Popen([*command, "-c", str(config), "-p", place], stderr=words)
            try:
                _wait(process, port, Path(place, "words"))
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait()


def _config(place: Path, folder: Path, port: int) -> str:
    """Returns a configuration like Debian's, without the system's paths. A worker for each core and no log, so that it
    is no bottleneck."""
    temporary = [f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""  # else its workers could not read the folder
    return f"""
        {user} daemon off; pid {place}/pid; error_log stderr warn; worker_processes auto;
        events {{ worker_connections 1024; }}
        http {{
            {" ".join(temporary)}
            access_log off; sendfile on; tcp_nopush on; types {{ image/jpeg jpg; }}
            server {{ listen 127.0.0.1:{port}; root {folder}; }}
        }}
    """


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, words: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise UnavailableError(f"nginx does not start: {last_line(words.read_text())}")
