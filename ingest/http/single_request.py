"""One HTTP request with the lenient parser, on a connection of its own, which is closed after the answer."""

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

from tagmill.ingest.http.answers import RETRYABLE_STATUS, Address, Expectation, Reply, reply_from_body, reply_from_head
from tagmill.ingest.http.connection_errors import describe_connection_error
from tagmill.ingest.http.lenient_parser import MAX_LINE_BYTES, AnswerError, LenientReader
from tagmill.ingest.http.opt_out import Obeyed
from tagmill.ingest.http.sockets import OUT_OF_FILES, PrivateAddressError, SocketFactory
from tagmill.ingest.reasons import Reason

LENIENT_AFTER = 3  # refused answers in a row
LENIENT_SECONDS = 300.0  # seconds that an address is reused; the client's DNS cache has the same lifetime
MAX_LENIENT_HOSTS = 1 << 12
_CONNECTED = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


@dataclass(frozen=True, slots=True)
class SingleRequest:
    """A request: URL, address to connect to, and headers."""

    url: URL
    address: Address  # of the host, or of the proxy
    proxy: str | None
    user_agent: str
    connect: float  # connect timeout in seconds
    obeyed: Obeyed


class LenientHosts:
    """Remembers hosts with LENIENT_AFTER answers in a row that the client's parser refused, and their addresses.

    Their URLs are requested with the lenient parser at once, so that each is not requested twice. As that costs one
    connection per URL, the client's parser is tried again after LENIENT_SECONDS.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # (origin, proxy) -> (refusals in a row, last address, expiry on the clock)
        self._known: OrderedDict[tuple[str, str | None], tuple[int, Address, float]] = OrderedDict()

    def get(self, origin: str, proxy: str | None) -> Address | None:
        """Returns the address at which to request with the lenient parser; None: use the client."""
        times, address, until = self._known.get((origin, proxy), (0, None, 0.0))
        return address if times >= LENIENT_AFTER and until > self._clock() else None

    def refused(self, origin: str, proxy: str | None, address: Address) -> None:
        """Records an answer that the client's parser refused and the lenient parser could judge."""
        times = self._known.pop((origin, proxy), (0, None, 0.0))[0]
        self._known[origin, proxy] = times + 1, address, self._clock() + LENIENT_SECONDS
        if len(self._known) > MAX_LENIENT_HOSTS:
            self._known.popitem(last=False)

    def forget(self, origin: str, proxy: str | None) -> None:
        """Removes a host: the client's parser has read an answer, or the address is unreachable."""
        self._known.pop((origin, proxy), None)


async def send_once(asking: SingleRequest, sockets: SocketFactory, wanted: Expectation) -> Reply:
    """Returns the reply to one request. Raises nothing for what a host does; the caller sets the deadline."""
    status: int | None = None
    try:
        async with _connection(asking, sockets) as (reader, writer):
            writer.write(_request(asking, wanted))
            lenient = LenientReader(reader)
            head = await lenient.head()
            decided = reply_from_head(head.status, head.headers, wanted, asking.obeyed)
            if decided is not None:
                return decided
            status = head.status
            return await reply_from_body(status, head.headers, head.length, lenient.body(head), wanted)
    except PrivateAddressError:
        return Reply(reason=Reason.PRIVATE_ADDRESS, host_failed=None)
    except AnswerError as error:
        failed = error.reason == Reason.CONNECTION and (True if asking.proxy is None else None)
        reply = Reply(reason=error.reason, detail=error.detail, http_status=status)
        return replace(reply, retryable=error.retryable, host_failed=failed)
    except TimeoutError:  # of the connect; the caller's deadline raises CancelledError
        return Reply(reason=Reason.TIMEOUT, detail="no connection in time", retryable=True, host_failed=True)
    except ssl.SSLError as error:
        return Reply(reason=Reason.CONNECTION, detail=describe_connection_error(error), host_failed=False)
    except OSError as error:
        if error.errno in OUT_OF_FILES:
            raise
        failed = True if asking.proxy is None else None
        return Reply(
            reason=Reason.CONNECTION, detail=describe_connection_error(error), retryable=True, host_failed=failed
        )


@asynccontextmanager
async def _connection(
    asking: SingleRequest, sockets: SocketFactory
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connects to the address, with TLS to the URL's host where it is https. Raises OSError and AnswerError."""
    family = socket.AF_INET6 if ":" in str(asking.address[0]) else socket.AF_INET
    made = sockets((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", asking.address))
    try:
        made.setblocking(False)
        secure = asking.url.scheme == "https"
        async with asyncio.timeout(asking.connect):
            await asyncio.get_running_loop().sock_connect(made, asking.address)
            if secure and asking.proxy is not None:
                await _open_tunnel(made, asking)
            name = (asking.url.raw_host or "").rstrip(".") if secure else None
            context = await asyncio.to_thread(_tls) if secure else None
            reader, writer = await asyncio.open_connection(
                sock=made, limit=MAX_LINE_BYTES, ssl=context, server_hostname=name
            )
    except BaseException:
        made.close()
        raise
    try:
        yield reader, writer
    finally:
        with suppress(OSError):
            writer.transport.abort()  # closes at once, without reading or flushing


async def _open_tunnel(made: socket.socket, asking: SingleRequest) -> None:
    """Sends CONNECT to the proxy. Reads its answer byte by byte, as the bytes after it belong to TLS."""
    loop, url = asyncio.get_running_loop(), asking.url
    place = f"{url.host_subcomponent}:{url.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", *_proxy_authorization(asking)]
    await loop.sock_sendall(made, _lines(lines))
    answer = bytearray()
    while not answer.endswith((b"\r\n\r\n", b"\n\n")):
        byte = await loop.sock_recv(made, 1)
        if not byte or len(answer) >= MAX_LINE_BYTES:
            raise AnswerError(Reason.CONNECTION, "the proxy gave no answer", retryable=True)
        answer += byte
    found = _CONNECTED.match(answer)
    status = int(found[1]) if found else 0
    if status // 100 != 2:
        detail = f"the proxy answered HTTP {status}" if found else "the proxy gave no answer"
        raise AnswerError(Reason.CONNECTION, detail, retryable=status in RETRYABLE_STATUS)


def _request(asking: SingleRequest, wanted: Expectation) -> bytes:
    url = asking.url
    whole = asking.proxy is not None and url.scheme == "http"
    target = f"{url.origin()}{url.raw_path_qs}" if whole else url.raw_path_qs
    lines = [
        *[f"GET {target} HTTP/1.1", f"Host: {url.host_port_subcomponent}", f"User-Agent: {asking.user_agent}"],
        *[f"Accept: {wanted.accept}", "Accept-Encoding: identity", "Connection: close"],
    ]
    if url.raw_user is not None or url.raw_password is not None:
        lines.append(f"Authorization: {_basic(url)}")
    return _lines([*lines, *(_proxy_authorization(asking) if whole else ())])


def _proxy_authorization(asking: SingleRequest) -> list[str]:
    proxy = URL(asking.proxy or "")
    return [f"Proxy-Authorization: {_basic(proxy)}"] if proxy.raw_user is not None else []


def _basic(url: URL) -> str:
    return "Basic " + base64.b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()


def _lines(lines: list[str]) -> bytes:
    """Encodes the head of a request. Line breaks inside a line are replaced, so that none can inject a header."""
    return "".join(re.sub(r"[\r\n]", " ", line) + "\r\n" for line in lines).encode("utf-8", "replace") + b"\r\n"


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
