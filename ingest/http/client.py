"""HTTP requests with aiohttp, and with the lenient parser where aiohttp's refuses the answer; addresses are checked."""

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

from tagmill.ingest.http.answers import RETRYABLE_STATUS, Address, Expectation, Reply, reply_from_body, reply_from_head
from tagmill.ingest.http.connection_errors import describe_connection_error
from tagmill.ingest.http.lenient_parser import MAX_LINE_BYTES
from tagmill.ingest.http.opt_out import Obeyed
from tagmill.ingest.http.single_request import SingleRequest, send_once
from tagmill.ingest.http.sockets import OUT_OF_FILES, PrivateAddressError, SocketFactory, raise_open_file_limit
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import TagmillError

_KEEP_ALIVE = 5.0  # seconds that an idle connection is kept for another request
_BUFFER = 1 << 18  # bytes; reading pauses when twice as many are buffered


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Two sessions: one keeps connections alive, the other closes them, for when too many are open."""

    sockets: SocketFactory
    keeping: aiohttp.ClientSession
    closing: aiohttp.ClientSession

    def session(self) -> aiohttp.ClientSession:
        return self.closing if self.sockets.crowded else self.keeping


class _HeadRefusedError(aiohttp.ClientError):
    """aiohttp's parser refused the head of an answer."""

    def __init__(self, sender: Address | None) -> None:
        super().__init__(sender)
        self.sender = sender


class _Response(aiohttp.ClientResponse):
    """Remembers the address of its sender, for a second request to the same address."""

    sender: Address | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        transport = connection.transport
        self.sender = None if transport is None else transport.get_extra_info("peername")
        try:
            return await super().start(connection)
        except aiohttp.ClientResponseError as error:
            raise _HeadRefusedError(self.sender) from error


class Client:
    """Makes one request per call. Used as an async context manager, which holds the connections.

    `connect` is the connect timeout in seconds.
    """

    def __init__(self, user_agent: str, connect: float, obeyed: Obeyed, *, allow_private: bool) -> None:
        self._user_agent = user_agent
        self._connect = connect
        self._obeyed = obeyed
        self._allow_private = allow_private
        self._sessions = AsyncExitStack()
        self._direct: _Sessions | None = None
        self._proxied: _Sessions | None = None

    async def __aenter__(self) -> Self:
        most = raise_open_file_limit() // 4  # leaves file descriptors for both, for decoders, files and name servers
        self._direct = await self._open_sessions(SocketFactory(public_only=not self._allow_private, most=most))
        # These connect only to the proxy, which may be on a private network.
        self._proxied = await self._open_sessions(SocketFactory(public_only=False, most=most))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sessions.aclose()

    async def _open_sessions(self, sockets: SocketFactory) -> _Sessions:
        keeping = aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=300, keepalive_timeout=_KEEP_ALIVE, socket_factory=sockets
        )
        closing = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, force_close=True, socket_factory=sockets)
        return _Sessions(sockets, await self._session(keeping), await self._session(closing))

    async def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_BUFFER,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,  # times aiohttp's 128 headers; `reply_from_head` refuses larger heads
            response_class=_Response,
        )
        return await self._sessions.enter_async_context(session)

    def _sessions_for(self, proxy: str | None) -> _Sessions:
        way = self._direct if proxy is None else self._proxied
        assert way is not None
        return way

    async def request(self, url: URL, proxy: str | None, wanted: Expectation) -> Reply:
        """Makes one request and follows no redirects. Raises nothing for what a host does; the caller sets the deadline.

        Where the parser refuses the answer, `unparsed_from` of the reply is the address of its sender.
        """
        accept = {"Accept": wanted.accept}
        try:
            async with (
                self._sessions_for(proxy)
                .session()
                .get(url, allow_redirects=False, proxy=proxy, headers=accept) as response
            ):
                assert isinstance(response, _Response)
                decided = reply_from_head(response.status, response.headers, wanted, self._obeyed)
                return decided or await self._body(response, wanted)
        except aiohttp.ConnectionTimeoutError:
            return Reply(reason=Reason.TIMEOUT, detail="no connection in time", retryable=True, host_failed=True)
        except aiohttp.ClientError as error:
            return _failed(error)
        except (ValueError, UnicodeError):  # a host name that the resolver or the client cannot encode
            return Reply(reason=Reason.BAD_URL, detail="no such host name", host_failed=None)

    async def _body(self, response: _Response, wanted: Expectation) -> Reply:
        status, headers = response.status, response.headers
        blocks: AsyncIterator[bytes] = response.content.iter_any()
        try:
            return await reply_from_body(status, headers, response.content_length, blocks, wanted)
        except aiohttp.ClientPayloadError as error:
            framing = isinstance(error.__cause__, TransferEncodingError)
            return replace(_failed(error), http_status=status, unparsed_from=response.sender if framing else None)
        except aiohttp.ClientError as error:
            return replace(_failed(error), http_status=status)

    async def request_leniently(self, url: URL, proxy: str | None, wanted: Expectation, address: Address) -> Reply:
        """Makes the same request with the lenient parser, to a checked address, on a connection that is closed afterwards."""
        asking = SingleRequest(url, address, proxy, self._user_agent, self._connect, self._obeyed)
        try:
            return await send_once(asking, self._sessions_for(proxy).sockets, wanted)
        except OSError as error:
            raise _no_more_files(error) from error


def _no_more_files(error: OSError) -> TagmillError:
    remedy = "raise its limit (ulimit -n) or lower --concurrency; finished parts stay"
    return TagmillError(f"it may have no more files open ({type(error).__name__})", f"process {os.getpid()}", remedy)


def _failed(error: aiohttp.ClientError) -> Reply:
    """Maps an aiohttp error to a reply. Raises TagmillError where no file descriptors are left."""
    if isinstance(error, _HeadRefusedError):
        return Reply(reason=Reason.BAD_HEADERS, detail="malformed or too large", unparsed_from=error.sender)
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddressError):
        return Reply(reason=Reason.PRIVATE_ADDRESS, host_failed=None)
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in OUT_OF_FILES:
        raise _no_more_files(error.os_error) from error
    if isinstance(error, aiohttp.InvalidURL):
        return Reply(reason=Reason.BAD_URL, detail="not a URL that can be asked for", host_failed=None)
    if isinstance(error, aiohttp.ClientPayloadError):
        return Reply(reason=Reason.TRUNCATED, detail="the body ends before its length", retryable=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):  # the proxy refused the CONNECT
        retryable, detail = error.status in RETRYABLE_STATUS, f"the proxy answered HTTP {error.status}"
        return Reply(
            reason=Reason.CONNECTION, detail=detail, retryable=retryable, host_failed=True if retryable else None
        )
    if isinstance(error, aiohttp.ClientResponseError):  # in the answer to CONNECT
        return Reply(reason=Reason.CONNECTION, detail="the proxy's answer is malformed", host_failed=None)
    if isinstance(error, aiohttp.ClientProxyConnectionError):  # not the fault of the host
        detail = f"the proxy: {describe_connection_error(error.os_error)}"
        return Reply(reason=Reason.CONNECTION, detail=detail, retryable=True, host_failed=None)
    detail, certificate = _why(error), isinstance(error, aiohttp.ClientSSLError)
    return Reply(reason=Reason.CONNECTION, detail=detail, retryable=not certificate, host_failed=not certificate)


def _why(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        return describe_connection_error(cause) if isinstance(cause, ssl.SSLError) else "TLS certificate: not valid"
    if isinstance(error, aiohttp.ClientConnectorError):
        return describe_connection_error(error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed before the end of the headers"
    if isinstance(error, OSError):
        return describe_connection_error(error)
    return type(error).__name__
