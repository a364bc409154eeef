"""One HTTP request on a connection of its own, for the lenient reader: to an address that was checked, and closed after it."""

import asyncio
import base64
import re
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache

from yarl import URL

from tagmill.ingest.http.answers import TRY_AGAIN, Address, Reply, Wanted, by_body, by_head
from tagmill.ingest.http.connection_errors import why_lost
from tagmill.ingest.http.lenient_parser import LINE, AnswerError, Lenient
from tagmill.ingest.http.sockets import NO_FILES, PrivateAddressError, Sockets
from tagmill.ingest.reasons import Reason

AFTER = 3  # refused answers
HOLDS = 300.0  # seconds for which a host's address is used again, as long as the client remembers names
MOST_LENIENT_HOSTS = 1 << 12
_CONNECTED = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


@dataclass(frozen=True, slots=True)
class Asking:
    """How a URL is asked for."""

    url: URL
    address: Address  # of the host, or of the proxy
    proxy: str | None
    user_agent: str
    connect: float  # seconds that a connection may take
    agents: frozenset[str] | None  # see `answers.by_head`


class LenientHosts:
    """The hosts whose answers the client's parser refused, AFTER in a row, with the addresses at which they gave them.

    They are asked for the lenient reader at once, so that a list on such a host does not ask it twice for every URL. As
    that costs a connection for each URL, the client's parser is tried again after HOLDS seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By origin and proxy: refusals in a row, the last address, and how long it is used again.
        self._known: OrderedDict[tuple[str, str | None], tuple[int, Address, float]] = OrderedDict()

    def get(self, origin: str, proxy: str | None) -> Address | None:
        """Where to ask an origin, behind a proxy or without one, for the lenient reader; None: ask the client."""
        times, address, until = self._known.get((origin, proxy), (0, None, 0.0))
        return address if times >= AFTER and until > self._clock() else None

    def refused(self, origin: str, proxy: str | None, address: Address) -> None:
        """The client's parser refused an answer, and the lenient reader has read it, or found what is wrong with it."""
        times = self._known.pop((origin, proxy), (0, None, 0.0))[0]
        self._known[origin, proxy] = times + 1, address, self._clock() + HOLDS
        if len(self._known) > MOST_LENIENT_HOSTS:
            self._known.popitem(last=False)

    def forget(self, origin: str, proxy: str | None) -> None:
        """The client's parser has read an answer, or the address is no longer reached."""
        self._known.pop((origin, proxy), None)


async def ask_once(asking: Asking, sockets: Sockets, wanted: Wanted) -> Reply:
    """What a URL answers, as browsers read it. Raises nothing for what the web does; the caller has a deadline."""
    status: int | None = None
    try:
        async with _connection(asking, sockets) as (reader, writer):
            writer.write(_request(asking, wanted))
            lenient = Lenient(reader)
            head = await lenient.head()
            decided = by_head(head.status, head.headers, wanted, asking.agents)
            if decided is not None:
                return decided
            status = head.status
            return await by_body(status, head.headers, head.length, lenient.body(head), wanted)
    except PrivateAddressError:
        return Reply(reason=Reason.PRIVATE_ADDRESS, host_failed=None)
    except AnswerError as error:
        failed = error.reason == Reason.CONNECTION and (True if asking.proxy is None else None)
        reply = Reply(reason=error.reason, detail=error.detail, http_status=status)
        return replace(reply, again=error.again, host_failed=failed)
    except TimeoutError:  # of the connection: the caller's deadline is a cancellation
        return Reply(reason=Reason.TIMEOUT, detail="no connection in time", again=True, host_failed=True)
    except ssl.SSLError as error:
        return Reply(reason=Reason.CONNECTION, detail=why_lost(error), host_failed=False)
    except OSError as error:
        if error.errno in NO_FILES:
            raise
        failed = True if asking.proxy is None else None
        return Reply(reason=Reason.CONNECTION, detail=why_lost(error), again=True, host_failed=failed)


@asynccontextmanager
async def _connection(
    asking: Asking, sockets: Sockets
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the address, through TLS to the URL's host where it is https. Raises OSError and AnswerError."""
    family = socket.AF_INET6 if ":" in str(asking.address[0]) else socket.AF_INET
    made = sockets((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", asking.address))
    try:
        made.setblocking(False)
        secure = asking.url.scheme == "https"
        async with asyncio.timeout(asking.connect):
            await asyncio.get_running_loop().sock_connect(made, asking.address)
            if secure and asking.proxy is not None:
                await _tunnel(made, asking)
            name = (asking.url.raw_host or "").rstrip(".") if secure else None
            context = await asyncio.to_thread(_tls) if secure else None
            reader, writer = await asyncio.open_connection(sock=made, limit=LINE, ssl=context, server_hostname=name)
    except BaseException:
        made.close()
        raise
    try:
        yield reader, writer
    finally:
        with suppress(OSError):
            writer.transport.abort()  # not a byte more is read, and nothing is waited for


async def _tunnel(made: socket.socket, asking: Asking) -> None:
    """Has the proxy connect us. Its answer is read byte by byte, as what comes behind it belongs to TLS."""
    loop, url = asyncio.get_running_loop(), asking.url
    place = f"{url.host_subcomponent}:{url.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", *_proxy_words(asking)]
    await loop.sock_sendall(made, _lines(lines))
    answer = bytearray()
    while not answer.endswith((b"\r\n\r\n", b"\n\n")):
        byte = await loop.sock_recv(made, 1)
        if not byte or len(answer) >= LINE:
            raise AnswerError(Reason.CONNECTION, "the proxy gave no answer", again=True)
        answer += byte
    found = _CONNECTED.match(answer)
    status = int(found[1]) if found else 0
    if status // 100 != 2:
        detail = f"the proxy answered HTTP {status}" if found else "the proxy gave no answer"
        raise AnswerError(Reason.CONNECTION, detail, again=status in TRY_AGAIN)


def _request(asking: Asking, wanted: Wanted) -> bytes:
    url = asking.url
    whole = asking.proxy is not None and url.scheme == "http"
    target = f"{url.origin()}{url.raw_path_qs}" if whole else url.raw_path_qs
    lines = [
        *[f"GET {target} HTTP/1.1", f"Host: {url.host_port_subcomponent}", f"User-Agent: {asking.user_agent}"],
        *[f"Accept: {wanted.accept}", "Accept-Encoding: identity", "Connection: close"],
    ]
    if url.raw_user is not None or url.raw_password is not None:
        lines.append(f"Authorization: {_basic(url)}")
    return _lines([*lines, *(_proxy_words(asking) if whole else ())])


def _proxy_words(asking: Asking) -> list[str]:
    proxy = URL(asking.proxy or "")
    return [f"Proxy-Authorization: {_basic(proxy)}"] if proxy.raw_user is not None else []


def _basic(url: URL) -> str:
    return "Basic " + base64.b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()


def _lines(lines: list[str]) -> bytes:
    """A request's head. What a line is made of cannot end it."""
    return "".join(re.sub(r"[\r\n]", " ", line) + "\r\n" for line in lines).encode("utf-8", "replace") + b"\r\n"


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
