"""A proxy before an HTTP service that behaves as stores on a bad day do: late, busy, cut off, silent, short; and counts.

    with faulty("http://127.0.0.1:8000", Faults(latency=0.02, busy=0.01)) as proxy:
        ...  # clients go to proxy.endpoint; proxy.requests lists what they asked

It passes requests on as they are, their Host included, so that signatures hold. Used by tests and by bench/.
"""

import asyncio
import contextlib
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
CHUNK = 1 << 16
EXCESS = b"and this is too much" * 5


@dataclass(frozen=True)
class Faults:
    """Rates of each fault among requests, at most one a request; `latency` seconds precede every answer."""

    latency: float = 0.0
    busy: float = 0.0  # 503 SlowDown; the request does not reach the service
    limited: float = 0.0  # 429, likewise
    retry_after: str = ""  # the header of these two answers
    reset: float = 0.0  # the connection is reset instead of an answer; the service has done its work
    stall: float = 0.0  # no answer until the proxy is closed
    short: float = 0.0  # the body ends in its middle, and the connection with it
    long: float = 0.0  # the body has more bytes than were asked for, and its headers say so
    beyond: float = 0.0  # bytes follow the body that its headers do not mention
    trickle: float = 0.0  # the body comes byte by byte, one in a tenth of a second
    altered: float = 0.0  # a byte of the body is changed
    once: bool = False  # a request that met a fault meets none when it is repeated
    seed: int = 0

    def draw(self, generator: random.Random) -> str:
        """Returns the fault of the next request, '' for none."""
        place = generator.random()
        for kind in ("busy", "limited", "reset", "stall", "short", "long", "beyond", "trickle", "altered"):
            if place < (share := getattr(self, kind)):
                return kind
            place -= share
        return ""


@dataclass(frozen=True)
class Request:
    """One request as the proxy saw it; `size` is that of the body that was returned, `given` of the request's own."""

    method: str
    path: str
    status: int
    size: int
    fault: str
    given: int = 0


@dataclass
class FaultyProxy:
    """`faults` may be changed while it runs, and `only` limits them to paths that contain it."""

    upstream: str
    faults: Faults
    only: str = ""
    endpoint: str = ""
    requests: list[Request] = field(default_factory=list)
    most_in_flight: int = 0

    def counts(self) -> Counter[str]:
        """Counts requests by fault: '' for those answered normally."""
        return Counter(request.fault for request in list(self.requests))

    def forget(self) -> None:
        """Resets the counts."""
        self.requests.clear()
        self.most_in_flight = 0

    async def serve(self, ready: threading.Event, done: asyncio.Event) -> None:
        """Serves until `done` is set, then releases stalled requests."""
        self._generator, self._done, self._in_flight = random.Random(self.faults.seed), done, 0
        self._troubled: set[tuple[str, str, bytes]] = set()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 20)
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await done.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        place = urlsplit(self.upstream)
        behind: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            behind = await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)
            while await self._exchange(reader, writer, *behind):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            for each in (writer, *(behind[1:] if behind else ())):
                each.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        behind: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
    ) -> bool:
        """Handles one request and its answer; returns False if the connection is to end."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        if _header(head, b"expect"):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
        body = await reader.readexactly(int(_header(head, b"content-length") or 0))
        fault = self.faults.draw(self._generator) if self.only in path else ""
        asked = (method, path, _header(head, b"range"))
        if self.faults.once and asked in self._troubled:
            fault = ""
        elif fault:
            self._troubled.add(asked)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await asyncio.sleep(self.faults.latency)
            if fault == "stall":
                self.requests.append(Request(method, path, 0, 0, fault, len(body)))
                await self._done.wait()
                return False
            if fault in ("busy", "limited"):
                headers = b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n" % (
                    b"503 Slow Down" if fault == "busy" else b"429 Too Many Requests",
                    len(SLOW_DOWN),
                )
                if self.faults.retry_after:
                    headers += b"Retry-After: %s\r\n" % self.faults.retry_after.encode()
                headers, content = headers + b"\r\n", b"" if method == "HEAD" else SLOW_DOWN
            else:
                onward.write(head + body)
                await onward.drain()
                headers, content = await _answer(behind, method)
            seen = Request(method, path, int(headers[9:12]), 0, fault, len(body))
            return await self._send(writer, seen, headers, content)
        finally:
            self._in_flight -= 1

    async def _send(self, writer: asyncio.StreamWriter, seen: Request, headers: bytes, content: bytes) -> bool:
        if seen.fault == "short":
            content = content[: len(content) // 2]
        elif seen.fault == "long" and content and b"transfer-encoding" not in headers.lower():
            content += EXCESS
            headers = re.sub(rb"(?i)(\r\ncontent-length: *)\d+", rb"\g<1>%d" % len(content), headers)
        elif seen.fault == "beyond" and content:
            content += EXCESS
        elif seen.fault == "altered" and content:
            content = bytes([*content[:-1], content[-1] ^ 1])
        sent = 0 if seen.fault == "reset" else len(content)
        self.requests.append(replace(seen, size=sent))
        if seen.fault == "reset":
            writer.transport.abort()
            return False
        writer.write(headers)
        step = 1 if seen.fault == "trickle" else CHUNK
        for start in range(0, len(content), step):
            if seen.fault == "trickle":
                await asyncio.sleep(0.1)
            writer.write(content[start : start + step])
            await writer.drain()
        await writer.drain()
        return seen.fault not in ("short", "beyond")


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


async def _answer(behind: asyncio.StreamReader, method: str) -> tuple[bytes, bytes]:
    """Returns the headers and the body of the service's answer unchanged."""
    headers = await behind.readuntil(b"\r\n\r\n")
    if headers[9:12] == b"100":
        headers = await behind.readuntil(b"\r\n\r\n")
    if method == "HEAD" or headers[9:12] in (b"204", b"304"):
        return headers, b""
    if _header(headers, b"transfer-encoding").lower() != b"chunked":
        return headers, await behind.readexactly(int(_header(headers, b"content-length") or 0))
    content = b""
    while True:
        line = await behind.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        content += line + await behind.readexactly(size + 2)
        if not size:
            return headers, content


@contextmanager
def faulty(upstream: str, faults: Faults | None = None, only: str = "") -> Iterator[FaultyProxy]:
    """Runs a proxy in a thread of this process; `upstream` is the service's address, for example http://127.0.0.1:8000."""
    proxy, ready = FaultyProxy(upstream, faults or Faults(), only), threading.Event()
    loop, done = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(proxy.serve(ready, done),), name="faulty-proxy")
    thread.start()
    try:
        if not ready.wait(20):
            raise RuntimeError("the proxy opened no port")
        yield proxy
    finally:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)
        thread.join(20)
        loop.close()
