"""The demo's HTTP server: serves the images on loopback, with faults exactly where the truth table has them.

It runs in a process of its own (`python -m tagmill.demo.serve FOLDER PORT`), so that it does not compete for the GIL of
the fetching process; it runs as long as its standard input is open, or with `--until-killed` after that too.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from tagmill.demo.encode import CONTENT_TYPES
from tagmill.demo.plant import FORBIDDEN
from tagmill.shards.errors import TagmillError

HUGE_HEADER_BYTES = 96 * 1024
"""More than common clients accept in one header line (8 to 64 kB)."""

DRIP_SECONDS = 0.5
DRIP_BYTES = 1200
"""A slow answer ends after this many bytes, ten minutes later."""

ROBOTS = f"User-agent: *\nDisallow: /{FORBIDDEN}/\n".encode()
"""A client that ignores it gets the images all the same, and the accounts detect it."""

IDLE_SECONDS = 30.0
REQUEST_BYTES = 16 * 1024
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's answer on one path."""

    file: Path | None
    content_type: str
    fault: str
    """The kind in the truth table if it begins with `broken_`, otherwise empty."""


def answers(folder: Path | str) -> dict[str, Answer]:
    """Reads the truth table into a dictionary by path."""
    folder = Path(folder)
    table = pq.read_table(folder / "truth.parquet", columns=["path", "file", "kind", "format"])
    found: dict[str, Answer] = {}
    for row in table.to_pylist():
        if row["kind"] in ("same_url", "broken_404"):
            continue
        fault = row["kind"] if row["kind"].startswith("broken_") else ""
        content_type = CONTENT_TYPES[row["format"].split("_")[0]]
        found[row["path"]] = Answer(folder / "pictures" / row["file"], content_type, fault)
    return found


@contextmanager
def serve(folder: Path | str, port: int = 0) -> Iterator[str]:
    """Serves a demo web in another process; yields its base URL, for example `http://127.0.0.1:40123`.

    Port 0 takes a free one. At the end of the block the server stops and leaves `requests.json` in the folder: requests
    per path (`(unknown)` for all others). Raises TagmillError if the server cannot start.
    """
    command = [sys.executable, "-m", "tagmill.demo.serve", str(folder), str(port)]
    with (
        tempfile.TemporaryFile() as complaints,  # not a pipe, which would not be read while the server runs
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode().strip()
            if not line.startswith("http://"):
                _stopped(process)
                complaints.seek(0)
                reason = complaints.read().decode(errors="replace").strip().rsplit("\n", 1)[-1]
                raise TagmillError("the demo's server did not start", f"{folder}, port {port}", reason)
            yield line
        finally:
            _stopped(process)


def _stopped(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server:
    """Answers GET and HEAD on paths of its table, keeps connections alive, and counts requests."""

    def __init__(self, table: dict[str, Answer]) -> None:
        self.table = table
        self.requests: Counter[str] = Counter()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection until either side closes it."""
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Reads one request and answers it; returns True if the connection may serve another."""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
        except asyncio.LimitOverrunError:
            return await _say(writer, "431 Request Header Fields Too Large", keep=False)
        request, *fields = head.decode("latin-1").split("\r\n")
        words = request.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return await _say(writer, "400 Bad Request", keep=False)
        method, target, version = words
        headers = {name.strip().lower(): value.strip().lower() for name, _, value in (f.partition(":") for f in fields)}
        asked = headers.get("connection", "")
        keep = "close" not in asked and (version != "HTTP/1.0" or "keep-alive" in asked)
        if method not in ("GET", "HEAD") or "content-length" in headers or "transfer-encoding" in headers:
            return await _say(writer, "405 Method Not Allowed", keep=False)
        path = target.partition("?")[0]
        answer = self.table.get(path)
        self.requests[path if answer is not None or path == "/robots.txt" else "(unknown)"] += 1
        with_body = method == "GET"
        if path == "/robots.txt":
            return await _say(writer, "200 OK", ROBOTS, "text/plain", keep, with_body)
        if answer is None or answer.file is None:
            return await _say(writer, "404 Not Found", b"no such picture\n", "text/plain", keep, with_body)
        body = answer.file.read_bytes()
        if answer.fault == "broken_huge_header":
            writer.write(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * HUGE_HEADER_BYTES + b"\r\n")
            await writer.drain()
            return await _say(writer, "", body, answer.content_type, False, with_body)
        if answer.fault == "broken_cut_off" and with_body:
            await _say(writer, "200 OK", body, answer.content_type, False, with_body=False)
            writer.write(body[: len(body) // 2])
            await writer.drain()
            return False
        if answer.fault == "broken_slow" and with_body:
            await _say(writer, "200 OK", body, answer.content_type, False, with_body=False)
            return await _dripped(writer, body[:DRIP_BYTES])
        return await _say(writer, "200 OK", body, answer.content_type, keep, with_body)


async def _say(
    writer: asyncio.StreamWriter,
    status: str,
    body: bytes = b"",
    content_type: str = "text/plain",
    keep: bool = True,
    with_body: bool = True,
) -> bool:
    """Sends a response (without its first line if `status` is empty) and returns `keep`."""
    first = f"HTTP/1.1 {status}\r\n" if status else ""
    head = (
        f"{first}Server: demo-web\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    writer.write(head.encode("latin-1") + (body if with_body else b""))
    await writer.drain()
    return keep


async def _dripped(writer: asyncio.StreamWriter, body: bytes) -> bool:
    for place in range(len(body)):
        writer.write(body[place : place + 1])
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)
    return False


async def _run(folder: Path, port: int, until_killed: bool) -> None:
    server = Server(answers(folder))
    listener = await asyncio.start_server(server.connection, "127.0.0.1", port, limit=REQUEST_BYTES, backlog=512)
    sys.stdout.write(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    if until_killed:
        await asyncio.Event().wait()
    # Standard input ends the process: it closes when the parent closes it or dies.
    await asyncio.to_thread(sys.stdin.read)
    listener.close()
    part = folder / "requests.json.part"
    part.write_text(json.dumps(dict(sorted(server.requests.items())), indent=1) + "\n")
    part.replace(folder / "requests.json")


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), int(sys.argv[2]), "--until-killed" in sys.argv[3:]))
