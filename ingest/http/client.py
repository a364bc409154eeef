"""HTTP requests by aiohttp, and what its parser refuses by our own reader: bounded, and to the addresses that sockets allow."""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.http_exceptions import TransferEncodingError
from yarl import URL

from tagmill.ingest.http.answers import TRY_AGAIN, Address, Reply, Wanted, by_body, by_head
from tagmill.ingest.http.connection_errors import why_lost
from tagmill.ingest.http.lenient_parser import LINE
from tagmill.ingest.http.single_request import Asking, ask_once
from tagmill.ingest.http.sockets import NO_FILES, PrivateAddressError, Sockets, may_open
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import TagmillError

_KEPT_OPEN = 5.0  # seconds that a connection waits for another request
_BUFFER = 1 << 18  # bytes; a connection waits when twice as many of a body have not been taken


@dataclass(frozen=True, slots=True)
class _Ways:
    """Two sessions: one keeps connections for the next request, the other, for when too many are open, closes them."""

    sockets: Sockets
    keeping: aiohttp.ClientSession
    closing: aiohttp.ClientSession

    def session(self) -> aiohttp.ClientSession:
        return self.closing if self.sockets.crowded else self.keeping


class _RefusedError(aiohttp.ClientError):
    """The parser refuses the head of an answer."""

    def __init__(self, sender: Address | None) -> None:
        super().__init__(sender)
        self.sender = sender


class _Response(aiohttp.ClientResponse):
    """Remembers who sends it, for a second request to the same address."""

    sender: Address | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        transport = connection.transport
        self.sender = None if transport is None else transport.get_extra_info("peername")
        try:
            return await super().start(connection)
        except aiohttp.ClientResponseError as error:
            raise _RefusedError(self.sender) from error


class Client:
    """Asks for one URL at a time, as often as it is called; as an async context manager it holds the connections.

    `connect` is how many seconds a connection may take; `agents` are the names by which opt-outs address us (None: they are
    not heard).
    """

    def __init__(self, user_agent: str, connect: float, agents: frozenset[str] | None, *, allow_private: bool) -> None:
        self._user_agent, self._connect, self._agents = user_agent, connect, agents
        self._allow_private = allow_private
        self._sessions = AsyncExitStack()
        self._direct: _Ways | None = None
        self._proxied: _Ways | None = None

    async def __aenter__(self) -> Self:
        most = may_open() // 4  # so that there is room for both, for decoders, files and name servers
        self._direct = await self._ways(Sockets(public_only=not self._allow_private, most=most))
        # These lead to the proxy alone, which may be private.
        self._proxied = await self._ways(Sockets(public_only=False, most=most))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sessions.aclose()

    async def _ways(self, sockets: Sockets) -> _Ways:
        keeping = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=_KEPT_OPEN, socket_factory=sockets)
        closing = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, force_close=True, socket_factory=sockets)
        return _Ways(sockets, await self._session(keeping), await self._session(closing))

    async def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_BUFFER,
            max_line_size=LINE,
            max_field_size=LINE,  # times 128 headers, its default: what comes to more is refused by `by_head`
            response_class=_Response,
        )
        return await self._sessions.enter_async_context(session)

    def _way(self, proxy: str | None) -> _Ways:
        way = self._direct if proxy is None else self._proxied
        assert way is not None
        return way

    async def ask(self, url: URL, proxy: str | None, wanted: Wanted) -> Reply:
        """One request, without redirects. Raises nothing for what the web does; the caller has a deadline.

        Where the parser refuses what came, `unread` of the reply says who sent it.
        """
        accept = {"Accept": wanted.accept}
        try:
            async with (
                self._way(proxy).session().get(url, allow_redirects=False, proxy=proxy, headers=accept) as response
            ):
                assert isinstance(response, _Response)
                decided = by_head(response.status, response.headers, wanted, self._agents)
                return decided or await self._body(response, wanted)
        except aiohttp.ConnectionTimeoutError:
            return Reply(reason=Reason.TIMEOUT, detail="no connection in time", again=True, host_failed=True)
        except aiohttp.ClientError as error:
            return _failed(error)
        except (ValueError, UnicodeError):  # a host that the resolver or the client cannot spell
            return Reply(reason=Reason.BAD_URL, detail="no such host name", host_failed=None)

    async def _body(self, response: _Response, wanted: Wanted) -> Reply:
        status, headers = response.status, response.headers
        blocks: AsyncIterator[bytes] = response.content.iter_any()
        try:
            return await by_body(status, headers, response.content_length, blocks, wanted)
        except aiohttp.ClientPayloadError as error:
            framing = isinstance(error.__cause__, TransferEncodingError)
            return replace(_failed(error), http_status=status, unread=response.sender if framing else None)
        except aiohttp.ClientError as error:
            return replace(_failed(error), http_status=status)

    async def ask_leniently(self, url: URL, proxy: str | None, wanted: Wanted, address: Address) -> Reply:
        """The same by the lenient reader, at an address that was asked before, on a connection that is closed after it."""
        asking = Asking(url, address, proxy, self._user_agent, self._connect, self._agents)
        try:
            return await ask_once(asking, self._way(proxy).sockets, wanted)
        except OSError as error:
            raise _no_more_files(error) from error


def _no_more_files(error: OSError) -> TagmillError:
    remedy = "raise its limit (ulimit -n) or lower --concurrency; finished parts stay"
    return TagmillError(f"it may have no more files open ({type(error).__name__})", f"process {os.getpid()}", remedy)


def _failed(error: aiohttp.ClientError) -> Reply:
    """The reason for what the client raised."""
    if isinstance(error, _RefusedError):
        return Reply(reason=Reason.BAD_HEADERS, detail="malformed or too large", unread=error.sender)
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddressError):
        return Reply(reason=Reason.PRIVATE_ADDRESS, host_failed=None)
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in NO_FILES:
        raise _no_more_files(error.os_error) from error
    if isinstance(error, aiohttp.InvalidURL):
        return Reply(reason=Reason.BAD_URL, detail="not a URL that can be asked for", host_failed=None)
    if isinstance(error, aiohttp.ClientPayloadError):
        return Reply(reason=Reason.TRUNCATED, detail="the body ends before its length", again=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):  # it was told to connect us, and did not
        again, detail = error.status in TRY_AGAIN, f"the proxy answered HTTP {error.status}"
        return Reply(reason=Reason.CONNECTION, detail=detail, again=again, host_failed=True if again else None)
    if isinstance(error, aiohttp.ClientResponseError):  # a proxy's answer to CONNECT
        return Reply(reason=Reason.CONNECTION, detail="the proxy's answer is malformed", host_failed=None)
    if isinstance(error, aiohttp.ClientProxyConnectionError):  # no host's fault
        detail = f"the proxy: {why_lost(error.os_error)}"
        return Reply(reason=Reason.CONNECTION, detail=detail, again=True, host_failed=None)
    detail, certificate = _why(error), isinstance(error, aiohttp.ClientSSLError)
    return Reply(reason=Reason.CONNECTION, detail=detail, again=not certificate, host_failed=not certificate)


def _why(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        return why_lost(cause) if isinstance(cause, ssl.SSLError) else "TLS certificate: not valid"
    if isinstance(error, aiohttp.ClientConnectorError):
        return why_lost(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed before the end of the headers"
    if isinstance(error, OSError):
        return why_lost(error)
    return type(error).__name__
