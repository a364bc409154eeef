"""Fetches URLs from a web that lies and drips: bounded, by one deadline each, never from private addresses unless told.

A URL takes tries, a try takes hops (its redirects), and every hop is a request of its own: it waits for a turn at its host,
is refused where that host is down, and counts for or against it.
"""

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from yarl import URL

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.fetch.deadlines import Deadline
from tagmill.ingest.fetch.host_limits import CircuitBreaker, HostSlots
from tagmill.ingest.fetch.robots_cache import RobotsCache
from tagmill.ingest.fetch.robots_rules import MOST_BYTES, MOST_REDIRECTS, RobotsAnswer, judge, origin_of
from tagmill.ingest.fetch.robots_rules import PATH as ROBOTS_PATH
from tagmill.ingest.http.accept_header import accept_pictures
from tagmill.ingest.http.answers import Address, Reply, Wanted
from tagmill.ingest.http.client import Client
from tagmill.ingest.http.opt_out import agents_of
from tagmill.ingest.http.proxy import Proxies, RefusedHostError
from tagmill.ingest.http.public_addresses import may_be_public
from tagmill.ingest.http.retries import RetryBudget, backoff
from tagmill.ingest.http.single_request import LenientHosts
from tagmill.ingest.http.urls import joined, parsed_url, why_not
from tagmill.ingest.progress.host_times import HostLatency
from tagmill.ingest.reasons import Reason

_UNREACHED = (Reason.CONNECTION, Reason.TIMEOUT, Reason.PRIVATE_ADDRESS)  # says nothing about how a host answers
_ALLOW = "is not on the public internet; --allow-private asks it all the same"
_PRIVATE_NAME, _PRIVATE_PLACE = f"its name {_ALLOW}", f"its address {_ALLOW}"
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
    packed: str | None = None  # how the body is packed, where that was not undone


_ROBOTS = Wanted("text/plain, */*;q=0.1", MOST_BYTES, MOST_REDIRECTS, is_robots=True)


class FetchState:
    """What a process has learnt of the web: which hosts are down, how much was asked again. It outlives a Fetcher."""

    def __init__(self, config: IngestConfig) -> None:
        self.breaker = CircuitBreaker(config.host_failures)
        self.budget = RetryBudget(config.retry_share)
        self.waits = HostLatency()
        self.lenient = LenientHosts()


class Fetcher:
    """An HTTP client under the limits of a config; as an async context manager it holds the connections.

    Whoever calls `fetch` decides how many URLs are under way. `workers` is the number of processes that share the run's
    limits per host with this one; `robots` knows what hosts allow (None: nobody is asked). Raises ConfigError where the
    environment names a proxy that cannot be used.
    """

    def __init__(
        self,
        config: IngestConfig,
        workers: int = 1,
        lessons: FetchState | None = None,
        robots: RobotsCache | None = None,
    ) -> None:
        self._config, self._workers, self._robots = config, workers, robots
        self._lessons = FetchState(config) if lessons is None else lessons
        self.waits = HostLatency()  # of this fetcher alone
        self._turns = HostSlots(max(1, config.host_concurrency // workers), config.host_delay * workers)
        self._proxies = Proxies.from_environment()
        self._agents = agents_of(config.user_agent)
        self._connect = config.timeout / (config.retries + 1)  # a connect that hangs leaves time for another try
        heard = self._agents if config.honour_opt_outs else None
        self._client = Client(config.user_agent, self._connect, heard, allow_private=config.allow_private)

    async def __aenter__(self) -> Self:
        # Names are resolved in threads, by default hardly more than there are cores: dead name servers would block them.
        resolvers = ThreadPoolExecutor(self._config.concurrency, thread_name_prefix="resolve")
        asyncio.get_running_loop().set_default_executor(resolvers)
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._robots is not None:
            await self._robots.close()
        await self._client.__aexit__(kind, error, trace)

    async def fetch(self, url: str) -> Fetched:
        """The body of a normalised URL, or why there is none. Never raises for anything that the web does."""
        wanted = Wanted(accept_pictures(), self._config.max_bytes, self._config.max_redirects)
        return await self._fetch(url, wanted)

    async def robots_txt(self, origin: str) -> Fetched:
        """A host's robots.txt, or its first `MOST_BYTES`."""
        return await self._fetch(origin + ROBOTS_PATH, _ROBOTS)

    async def _rules_of(self, origin: str) -> RobotsAnswer:
        found = await self.robots_txt(origin)
        return judge(found.body, found.reason, found.detail, found.http_status, self._agents)

    async def _fetch(self, url: str, wanted: Wanted) -> Fetched:
        deadline, entered = Deadline(self._config.timeout), time.monotonic()
        target = parsed_url(url)
        if target is None:
            answer = Reply(reason=Reason.BAD_URL, detail=why_not(url))
        else:
            answer = await self._with_retries(target, deadline, wanted)
            size = 0 if answer.body is None else len(answer.body)
            for waits in (self._lessons.waits, self.waits):
                waits.note(target.raw_host or "", time.monotonic() - entered, size)
        seconds, begun = self._config.timeout - deadline.left, deadline.begun or datetime.now(UTC)
        host = None if target is None else target.raw_host
        return Fetched(
            answer.body, answer.reason, answer.detail, answer.http_status, seconds, begun, host, answer.packed
        )

    async def _with_retries(self, url: URL, deadline: Deadline, wanted: Wanted) -> Reply:
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

    async def _follow(self, url: URL, deadline: Deadline, wanted: Wanted) -> Reply:
        """One try, through its redirects."""
        first, answer = url.raw_host, Reply()
        for _ in range(wanted.redirects + 1):
            gap = 0.0
            if self._robots is not None and not wanted.is_robots:
                admitted = await self._admitted(url, deadline, self._robots)
                if isinstance(admitted, Reply):
                    return _at(replace(admitted, http_status=answer.http_status), url, first)
                gap = admitted
            answer = await self._hop(url, deadline, wanted, gap)
            if answer.target is None:
                return _at(answer, url, first)
            followed = joined(url, answer.target)
            if followed is None:
                where = f"leads to no http(s) URL: {answer.target[:100]!a}"
                detail = where if answer.target else "without a Location"
                return Reply(reason=Reason.REDIRECTS, detail=detail, http_status=answer.http_status)
            url = followed
        detail = f"more than {wanted.redirects}"
        return Reply(reason=Reason.REDIRECTS, detail=detail, http_status=answer.http_status)

    async def _admitted(self, url: URL, deadline: Deadline, robots: RobotsCache) -> Reply | float:
        """Why a URL must not be asked for by its host's robots.txt, or the seconds that are to lie between two requests."""
        origin = origin_of(url)
        found = robots.at_hand(origin)
        if found is None:
            try:
                async with deadline.passing():
                    found = await robots.look_up(origin, self._rules_of)
            except TimeoutError:
                return Reply(reason=Reason.TIMEOUT, detail="robots.txt: not within the deadline")
        if isinstance(found, RobotsAnswer):
            return Reply(reason=found.reason, detail=found.detail)
        if not found.allow(url):
            return Reply(reason=Reason.ROBOTS, detail="Disallow")
        return min(found.crawl_delay, self._config.max_crawl_delay) * self._workers

    async def _hop(self, url: URL, deadline: Deadline, wanted: Wanted, gap: float) -> Reply:
        """One request when its host has a turn for it, and what it says about the host."""
        host, allow_private = url.raw_host or "", self._config.allow_private
        try:
            proxy = self._proxies.of(url.scheme, host, allow_private=allow_private)
        except RefusedHostError:
            return Reply(reason=Reason.PRIVATE_ADDRESS, detail=_PRIVATE_NAME)
        peer, breaker = f"{host}:{url.port}", self._lessons.breaker
        async with self._turns.turn(host):
            while wait := breaker.wait(peer):
                if wait == math.inf:
                    return Reply(reason=Reason.HOST_DOWN, detail=peer)
                await asyncio.sleep(min(wait, _LOOK_AGAIN))
            await self._turns.space(host, gap)
            before = deadline.left
            try:
                answer = await self._ask(url, proxy, deadline, wanted, gap)
            except TimeoutError:
                # Where other hops or tries have used up the time, this host is not to blame.
                to_blame = True if before >= self._connect else None
                detail = f"no whole answer within {self._config.timeout:g} s"
                answer = Reply(reason=Reason.TIMEOUT, detail=detail, host_failed=to_blame)
            if answer.busy:
                breaker.rest(peer, answer.wait)
            elif answer.host_failed is not None:
                breaker.note(peer, answered=not answer.host_failed)
        if answer.reason == Reason.PRIVATE_ADDRESS:
            return replace(answer, detail=_PRIVATE_PLACE if may_be_public(host) else _PRIVATE_NAME)
        return answer

    async def _ask(self, url: URL, proxy: str | None, deadline: Deadline, wanted: Wanted, gap: float) -> Reply:
        """One request; and, once for a URL, another by the lenient reader where the client's parser refuses the answer.

        Hosts that need it are asked for the lenient reader at once. Raises TimeoutError at the deadline.
        """
        origin, hosts = origin_of(url), self._lessons.lenient
        if (address := hosts.get(origin, proxy)) is not None:
            reply = await self._leniently(url, proxy, deadline, wanted, address)
            if reply.reason in _UNREACHED:
                hosts.forget(origin, proxy)
            return reply
        async with deadline.passing():
            reply = await self._client.ask(url, proxy, wanted)
        if (address := reply.unread) is None:
            if reply.http_status is not None:
                hosts.forget(origin, proxy)
            return reply
        if url in deadline.read_again:
            return reply
        await self._turns.space(url.raw_host or "", gap)
        reply = await self._leniently(url, proxy, deadline, wanted, address)
        if reply.reason not in _UNREACHED:
            deadline.read_again.add(url)
            if reply.reason != Reason.TRUNCATED:
                hosts.refused(origin, proxy, address)
        return reply

    async def _leniently(
        self, url: URL, proxy: str | None, deadline: Deadline, wanted: Wanted, address: Address
    ) -> Reply:
        async with deadline.passing():
            return await self._client.ask_leniently(url, proxy, wanted, address)


def _at(reply: Reply, url: URL, first: str | None) -> Reply:
    """With the host in its detail, where a redirect led to another one that is the reason."""
    if reply.reason is None or url.raw_host == first:
        return reply
    return replace(reply, detail=", ".join(filter(None, (reply.detail, f"at {url.raw_host}"))))
