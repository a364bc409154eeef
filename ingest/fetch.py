"""Fetches URLs from a web that lies and drips: bounded, by one deadline each, never from private addresses unless told.

A URL takes tries, a try takes hops (its redirects), and every hop is a request of its own: it waits for a turn at its host,
is refused where that host is down, and counts for or against it.
"""

import asyncio
import errno
import math
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.hosts import Breaker, Turns
from tagmill.ingest.optout import agents_of, opt_out
from tagmill.ingest.proxy import Proxies, RefusedHostError
from tagmill.ingest.reasons import Reason
from tagmill.ingest.retries import RetryBudget, backoff, retry_after
from tagmill.ingest.robots import MOST_BYTES, MOST_REDIRECTS, Answer, judge, origin_of
from tagmill.ingest.robots import PATH as ROBOTS_PATH
from tagmill.ingest.robots_book import Book
from tagmill.ingest.sockets import PrivateAddressError, Sockets, may_open
from tagmill.ingest.urls import joined, parsed
from tagmill.ingest.waits import Waits
from tagmill.shards.errors import TagmillError

_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_GONE = frozenset([404, 410])
_TRY_AGAIN = frozenset([429, 500, 502, 503, 504])
_BUSY = frozenset([429, 503])
_KEPT_OPEN = 5.0  # seconds that a connection waits for another request
_BUFFER = 1 << 18  # bytes; a connection waits when twice as many of a body have not been taken
_NO_FILES = frozenset([errno.EMFILE, errno.ENFILE])
_PRIVATE = "not on the public internet; --allow-private asks it all the same"
_LOOK_AGAIN = 1.0  # seconds after which a URL looks whether its host is up again


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a URL: a body, or a reason with its detail, which is a function of the answer and never of time."""

    body: bytes | None
    reason: Reason | None
    detail: str | None
    http_status: int | None  # of the last answer
    seconds: float  # of its deadline that were used
    fetched_at: datetime  # when it was first asked for
    host: str | None


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes | None = None
    reason: Reason | None = None
    detail: str | None = None
    http_status: int | None = None
    again: bool = False  # another try may help
    wait: float = 0.0  # seconds that the host asks for before another try
    target: str | None = None  # of a redirect, which is no answer yet
    host_failed: bool | None = False  # None: says nothing about the host

    @property
    def busy(self) -> bool:
        """Whether the host asks not only this URL to wait."""
        return self.wait > 0 and self.http_status in _BUSY


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a URL is asked for, and what may come of it."""

    accept: str
    most: int  # bytes of a body
    redirects: int
    is_robots: bool = False  # read up to `most`, by nobody's leave


_ROBOTS = _Wanted("text/plain, */*;q=0.1", MOST_BYTES, MOST_REDIRECTS, is_robots=True)


class _Deadline:
    """The seconds that a URL has left; they pass while it is asked for, not while it waits for a turn at its host."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self.begun: datetime | None = None

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Raises TimeoutError in its body when nothing is left."""
        if self.begun is None:
            self.begun = datetime.now(UTC)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.left):
                yield
        finally:
            self.left -= time.monotonic() - begun

    async def sleep(self, seconds: float) -> None:
        """Lets some of it pass, and raises nothing."""
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        self.left -= time.monotonic() - begun


class Lessons:
    """What a process has learnt of the web: which hosts are down, how much was asked again. It outlives a Fetcher."""

    def __init__(self, config: IngestConfig) -> None:
        self.breaker = Breaker(config.host_failures)
        self.budget = RetryBudget(config.retry_share)
        self.waits = Waits()


@dataclass(frozen=True, slots=True)
class _Ways:
    """Two sessions: one keeps connections for the next request, the other, for when too many are open, closes them."""

    sockets: Sockets
    keeping: aiohttp.ClientSession
    closing: aiohttp.ClientSession

    def session(self) -> aiohttp.ClientSession:
        return self.closing if self.sockets.crowded else self.keeping


class Fetcher:
    """An HTTP client under the limits of a config; as an async context manager it holds the connections.

    Whoever calls `fetch` decides how many URLs are under way. `workers` is the number of processes that share the run's
    limits per host with this one; `robots` knows what hosts allow (None: nobody is asked). Raises ConfigError where the
    environment names a proxy that cannot be used.
    """

    def __init__(
        self, config: IngestConfig, workers: int = 1, lessons: Lessons | None = None, robots: Book | None = None
    ) -> None:
        self._config, self._workers, self._robots = config, workers, robots
        self._picture = _Wanted("image/*", config.max_bytes, config.max_redirects)
        self._lessons = Lessons(config) if lessons is None else lessons
        self.waits = Waits()  # of this fetcher alone
        self._turns = Turns(max(1, config.host_concurrency // workers), config.host_delay * workers)
        self._proxies = Proxies.from_environment()
        self._agents = agents_of(config.user_agent)
        self._connect = config.timeout / (config.retries + 1)  # a connect that hangs leaves time for another try
        self._sessions = AsyncExitStack()
        self._direct: _Ways | None = None
        self._proxied: _Ways | None = None

    async def __aenter__(self) -> Self:
        # Names are resolved in threads, by default hardly more than there are cores: dead name servers would block them.
        resolvers = ThreadPoolExecutor(self._config.concurrency, thread_name_prefix="resolve")
        asyncio.get_running_loop().set_default_executor(resolvers)
        most = may_open() // 4  # so that there is room for both, for decoders, files and name servers
        self._direct = await self._ways(Sockets(public_only=not self._config.allow_private, most=most))
        self._proxied = await self._ways(
            Sockets(public_only=False, most=most)
        )  # to the proxy alone, which may be private
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._robots is not None:
            await self._robots.close()
        await self._sessions.aclose()

    async def _ways(self, sockets: Sockets) -> "_Ways":
        keeping = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=_KEPT_OPEN, socket_factory=sockets)
        closing = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, force_close=True, socket_factory=sockets)
        return _Ways(sockets, await self._session(keeping), await self._session(closing))

    async def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect),
            headers={"User-Agent": self._config.user_agent, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_BUFFER,
        )
        return await self._sessions.enter_async_context(session)

    async def fetch(self, url: str) -> Fetched:
        """The body of a normalised URL, or why there is none. Never raises for anything that the web does."""
        return await self._fetch(url, self._picture)

    async def robots_txt(self, origin: str) -> Fetched:
        """A host's robots.txt, or its first `MOST_BYTES`."""
        return await self._fetch(origin + ROBOTS_PATH, _ROBOTS)

    async def _rules_of(self, origin: str) -> Answer:
        found = await self.robots_txt(origin)
        return judge(found.body, found.reason, found.detail, found.http_status, self._agents)

    async def _fetch(self, url: str, wanted: _Wanted) -> Fetched:
        deadline, entered = _Deadline(self._config.timeout), time.monotonic()
        target = parsed(url)
        if target is None:
            answer = _Answer(reason=Reason.BAD_URL)
        else:
            answer = await self._with_retries(target, deadline, wanted)
            size = 0 if answer.body is None else len(answer.body)
            for waits in (self._lessons.waits, self.waits):
                waits.note(target.raw_host or "", time.monotonic() - entered, size)
        seconds, begun = self._config.timeout - deadline.left, deadline.begun or datetime.now(UTC)
        host = None if target is None else target.raw_host
        return Fetched(answer.body, answer.reason, answer.detail, answer.http_status, seconds, begun, host)

    async def _with_retries(self, url: URL, deadline: _Deadline, wanted: _Wanted) -> _Answer:
        """The first answer that another try cannot better; the last one when tries, time or the run's retries are used up."""
        self._lessons.budget.asked()
        answer = await self._follow(url, deadline, wanted)
        for attempt in range(self._config.retries):
            wait = max(backoff(attempt), answer.wait)
            if not answer.again or wait >= deadline.left or not self._lessons.budget.take():
                break
            await deadline.sleep(wait)
            another = await self._follow(url, deadline, wanted)
            if another.reason == Reason.HOST_DOWN:  # what was seen says more
                break
            answer = another
        return answer

    async def _follow(self, url: URL, deadline: _Deadline, wanted: _Wanted) -> _Answer:
        """One try, through its redirects."""
        answer = _Answer()
        for _ in range(wanted.redirects + 1):
            gap = 0.0
            if self._robots is not None and not wanted.is_robots:
                admitted = await self._admitted(url, deadline, self._robots)
                if isinstance(admitted, _Answer):
                    return replace(admitted, http_status=answer.http_status)
                gap = admitted
            answer = await self._hop(url, deadline, wanted, gap)
            if answer.target is None:
                return answer
            followed = joined(url, answer.target)
            if followed is None:
                detail = "leads to no http(s) URL"
                return _Answer(reason=Reason.REDIRECTS, detail=detail, http_status=answer.http_status)
            url = followed
        detail = f"more than {wanted.redirects}"
        return _Answer(reason=Reason.REDIRECTS, detail=detail, http_status=answer.http_status)

    async def _admitted(self, url: URL, deadline: _Deadline, robots: Book) -> _Answer | float:
        """Why a URL must not be asked for by its host's robots.txt, or the seconds that are to lie between two requests."""
        origin = origin_of(url)
        found = robots.at_hand(origin)
        if found is None:
            try:
                async with deadline.passing():
                    found = await robots.look_up(origin, self._rules_of)
            except TimeoutError:
                return _Answer(reason=Reason.TIMEOUT, detail="robots.txt: not within the deadline")
        if isinstance(found, Answer):
            return _Answer(reason=found.reason, detail=found.detail)
        if not found.allow(url):
            return _Answer(reason=Reason.ROBOTS, detail="Disallow")
        return min(found.crawl_delay, self._config.max_crawl_delay) * self._workers

    async def _hop(self, url: URL, deadline: _Deadline, wanted: _Wanted, gap: float) -> _Answer:
        """One request when its host has a turn for it, and what it says about the host."""
        host, allow_private = url.raw_host or "", self._config.allow_private
        try:
            proxy = self._proxies.of(url.scheme, host, allow_private=allow_private)
        except RefusedHostError:
            return _Answer(reason=Reason.PRIVATE_ADDRESS, detail=_PRIVATE)
        peer, breaker = f"{host}:{url.port}", self._lessons.breaker
        async with self._turns.turn(host):
            while wait := breaker.wait(peer):
                if wait == math.inf:
                    return _Answer(reason=Reason.HOST_DOWN)
                await asyncio.sleep(min(wait, _LOOK_AGAIN))
            await self._turns.space(host, gap)
            before = deadline.left
            try:
                async with deadline.passing():
                    answer = await self._ask(url, proxy, wanted)
            except TimeoutError:
                # Where other hops or tries have used up the time, this host is not to blame.
                to_blame = True if before >= self._connect else None
                detail = f"no whole answer within {self._config.timeout:g} s"
                answer = _Answer(reason=Reason.TIMEOUT, detail=detail, host_failed=to_blame)
            if answer.busy:
                breaker.rest(peer, answer.wait)
            elif answer.host_failed is not None:
                breaker.note(peer, answered=not answer.host_failed)
        return answer

    async def _ask(self, url: URL, proxy: str | None, wanted: _Wanted) -> _Answer:
        ways = self._direct if proxy is None else self._proxied
        assert ways is not None
        accept = {"Accept": wanted.accept}
        try:
            async with ways.session().get(url, allow_redirects=False, proxy=proxy, headers=accept) as response:
                if response.status in _REDIRECTS:
                    return _Answer(http_status=response.status, target=response.headers.get("Location", ""))
                return await self._read(response, wanted)
        except aiohttp.ConnectionTimeoutError:
            return _Answer(reason=Reason.TIMEOUT, detail="no connection in time", again=True, host_failed=True)
        except aiohttp.ClientError as error:
            return _failed(error)
        except (ValueError, UnicodeError):  # a host that the resolver or the client cannot spell
            return _Answer(reason=Reason.BAD_URL, detail="no such host name", host_failed=None)

    async def _read(self, response: aiohttp.ClientResponse, wanted: _Wanted) -> _Answer:
        status = response.status
        if not 200 <= status < 300:
            reason = Reason.NOT_FOUND if status in _GONE else Reason.HTTP_ERROR
            again, wait = status in _TRY_AGAIN, retry_after(response.headers.get("Retry-After")) or 0.0
            return _Answer(reason=reason, detail=f"HTTP {status}", http_status=status, again=again, wait=wait)
        if self._config.honour_opt_outs and not wanted.is_robots:
            rule = opt_out(response.headers.getall("X-Robots-Tag", ()), self._agents)
            if rule is not None:
                return _Answer(reason=Reason.OPTED_OUT, detail=f"X-Robots-Tag: {rule}", http_status=status)
        most = wanted.most
        big = _Answer(reason=Reason.TOO_BIG, detail=f"more than {most} bytes", http_status=status)
        if (response.content_length or 0) > most and not wanted.is_robots:
            return big
        blocks, size = [], 0
        try:
            async for block in response.content.iter_any():
                size += len(block)
                if size > most and not wanted.is_robots:
                    return big
                blocks.append(block)
                if size >= most and wanted.is_robots:
                    break
        except aiohttp.ClientError as error:
            failed = _failed(error)
            return replace(failed, http_status=status)
        if not size:
            return _Answer(reason=Reason.EMPTY, http_status=status)
        return _Answer(body=b"".join(blocks)[:most], http_status=status)


def _failed(error: aiohttp.ClientError) -> _Answer:
    """The reason for what the client raised; details are names, because messages hold addresses and times."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddressError):
        return _Answer(reason=Reason.PRIVATE_ADDRESS, detail=_PRIVATE, host_failed=None)
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in _NO_FILES:
        what, remedy = (
            f"process {os.getpid()}",
            "raise its limit (ulimit -n) or lower --concurrency; finished parts stay",
        )
        raise TagmillError("it may have no more files open", what, remedy) from error
    if isinstance(error, aiohttp.InvalidURL):
        return _Answer(reason=Reason.BAD_URL, detail="not a URL that can be asked for", host_failed=None)
    if isinstance(error, aiohttp.ClientPayloadError):
        return _Answer(reason=Reason.TRUNCATED, detail="the body ends before its length", again=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):  # it was told to connect us, and did not
        again, detail = error.status in _TRY_AGAIN, f"the proxy answered HTTP {error.status}"
        return _Answer(reason=Reason.CONNECTION, detail=detail, again=again, host_failed=True if again else None)
    if isinstance(error, aiohttp.ClientResponseError):
        return _Answer(reason=Reason.BAD_HEADERS, detail="malformed or too large")
    name = type(error).__name__
    if isinstance(error, aiohttp.ClientProxyConnectionError):  # no host's fault
        return _Answer(reason=Reason.CONNECTION, detail=name, again=True, host_failed=None)
    certificate = isinstance(error, aiohttp.ClientSSLError)
    return _Answer(reason=Reason.CONNECTION, detail=name, again=not certificate, host_failed=not certificate)
