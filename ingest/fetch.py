"""Fetches URLs from a web that lies and drips: bounded, by one deadline each, never from private addresses unless told."""

import asyncio
import ipaddress
import random
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urljoin

import aiohttp
from yarl import URL

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.deal import normalise
from tagmill.ingest.reasons import Reason

_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_GONE = frozenset([404, 410])
_TRY_AGAIN = frozenset([429, 500, 502, 503, 504])
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: how hosts with IPv6 only reach the public IPv4 internet
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is routed (RFC 4291)
_TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))  # 6to4 and Teredo carry any IPv4
_AS_WRITTEN = "".join(map(chr, range(0x21, 0x7F)))  # what a request line may hold; the rest is percent-encoded UTF-8
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")  # names that a resolver can be asked for (RFC 1035)
_FIRST_WAIT, _MOST_WAIT = 0.5, 8.0  # seconds before another try, doubled each time


class PrivateAddressError(OSError):
    """A socket was asked for to an address that is not on the public internet."""

    def __init__(self) -> None:
        super().__init__(
            "not a public address"
        )  # one text for all, or a host with several is reported as another error


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, in whatever form it hides: mapped, NAT64, 6to4 or Teredo."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif ip not in _UNICAST or any(ip in tunnel for tunnel in _TUNNELS):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a URL: a body, or a reason with its detail, which is a function of the answer and never of time."""

    body: bytes | None
    reason: Reason | None
    detail: str | None
    http_status: int | None  # of the last answer
    seconds: float
    fetched_at: datetime  # when the first try began
    host: str | None


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes | None = None
    reason: Reason | None = None
    detail: str | None = None
    http_status: int | None = None
    again: bool = False  # another try may help


class Fetcher:
    """An HTTP client under the limits of a config; as an async context manager it holds the connections.

    It has no queue: whoever calls `fetch` decides how many are in flight, and a URL's deadline begins with its call.
    """

    def __init__(self, config: IngestConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        config = self._config
        # Names are resolved in threads, by default hardly more than there are cores: dead name servers would block them.
        resolvers = ThreadPoolExecutor(config.concurrency, thread_name_prefix="resolve")
        asyncio.get_running_loop().set_default_executor(resolvers)
        connector = aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=300, socket_factory=None if config.allow_private else _public_socket
        )
        # A connect that hangs leaves time for another try.
        connect = config.timeout / (config.retries + 1)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect),
            headers={"User-Agent": config.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def fetch(self, url: str) -> Fetched:
        """The body of a normalised URL, or why there is none. Never raises for anything that the web does."""
        begun, at = time.monotonic(), datetime.now(UTC)
        parsed = _parsed(url)
        if parsed is None:
            answer = _Answer(reason=Reason.BAD_URL)
        else:
            answer = await self._with_retries(parsed, begun + self._config.timeout)
        seconds = time.monotonic() - begun
        host = None if parsed is None else parsed.host
        return Fetched(answer.body, answer.reason, answer.detail, answer.http_status, seconds, at, host)

    async def _with_retries(self, url: URL, deadline: float) -> _Answer:
        """The first answer that another try cannot better; the last one when tries or time are used up."""
        late = _Answer(reason=Reason.TIMEOUT, detail=f"no whole answer within {self._config.timeout:g} s")
        for attempt in range(self._config.retries + 1):
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    answer = await self._follow(url)
            except TimeoutError:
                return late
            wait = min(_MOST_WAIT, _FIRST_WAIT * 2**attempt) * (0.5 + random.random() / 2)
            if not answer.again or time.monotonic() + wait >= deadline or attempt == self._config.retries:
                return answer
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _follow(self, url: URL) -> _Answer:
        """One try, through its redirects; each hop is a request of its own, with its own address check."""
        assert self._session is not None
        for _ in range(self._config.max_redirects + 1):
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await self._read(response)
                    status, target = response.status, response.headers.get("Location", "")
            except aiohttp.ConnectionTimeoutError:
                return _Answer(reason=Reason.TIMEOUT, detail="no connection in time", again=True)
            except aiohttp.ClientError as error:
                return _failed(error)
            except (ValueError, UnicodeError):  # a host that the resolver or the client cannot spell
                return _Answer(reason=Reason.BAD_URL, detail="no such host name")
            followed = _joined(url, target)
            if followed is None:
                return _Answer(reason=Reason.REDIRECTS, detail="leads to no http(s) URL", http_status=status)
            url = followed
        what = f"more than {self._config.max_redirects}"
        return _Answer(reason=Reason.REDIRECTS, detail=what, http_status=status)

    async def _read(self, response: aiohttp.ClientResponse) -> _Answer:
        status = response.status
        if not 200 <= status < 300:
            reason = Reason.NOT_FOUND if status in _GONE else Reason.HTTP_ERROR
            return _Answer(reason=reason, detail=f"HTTP {status}", http_status=status, again=status in _TRY_AGAIN)
        most = self._config.max_bytes
        big = _Answer(reason=Reason.TOO_BIG, detail=f"more than {most} bytes", http_status=status)
        if (response.content_length or 0) > most:
            return big
        blocks, size = [], 0
        try:
            async for block in response.content.iter_any():
                size += len(block)
                if size > most:
                    return big
                blocks.append(block)
        except aiohttp.ClientError as error:
            failed = _failed(error)
            return replace(failed, http_status=status)
        if not size:
            return _Answer(reason=Reason.EMPTY, http_status=status)
        return _Answer(body=b"".join(blocks), http_status=status)


def _failed(error: aiohttp.ClientError) -> _Answer:
    """The reason for what the client raised; details are names, because messages hold addresses and times."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddressError):
        return _Answer(reason=Reason.PRIVATE_ADDRESS)
    if isinstance(error, aiohttp.InvalidURL):
        return _Answer(reason=Reason.BAD_URL, detail="not a URL that can be asked for")
    if isinstance(error, aiohttp.ClientPayloadError):
        return _Answer(reason=Reason.TRUNCATED, detail="the body ends before its length", again=True)
    if isinstance(error, aiohttp.ClientResponseError):
        return _Answer(reason=Reason.BAD_HEADERS, detail="malformed or too large")
    certificate = isinstance(error, aiohttp.ClientSSLError)
    return _Answer(reason=Reason.CONNECTION, detail=type(error).__name__, again=not certificate)


def _parsed(url: str) -> URL | None:
    """The URL if it is an http(s) one with a host; path and query as they were written, or signatures would break."""
    try:
        parsed = URL(quote(url, safe=_AS_WRITTEN, errors="replace"), encoded=True)
        host = parsed.host or ""
        usable = parsed.scheme in ("http", "https") and parsed.port is not None
        usable = usable and bool(":" in host or (len(host) < 254 and _HOST.fullmatch(host)))
    except ValueError:  # yarl checks ports and hosts when they are looked at
        return None
    return parsed if usable else None


def _joined(url: URL, target: str) -> URL | None:
    try:
        return _parsed(normalise(urljoin(str(url), target))) if target else None
    except ValueError:
        return None


def _public_socket(info: tuple[Any, Any, int, str, Any]) -> socket.socket:
    """Where every connection is made, after names are resolved, so that no name and no redirect leads inside."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise PrivateAddressError
    return socket.socket(family=family, type=kind, proto=protocol)
