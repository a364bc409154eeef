"""Fetches URLs from hosts that may be hostile or slow: one deadline per URL, and public addresses only, by default.

A URL takes tries, a try takes hops (its redirects), and every hop is a request of its own: it waits for a slot at its
host, is refused while the host's circuit breaker is open, and is recorded there as a success or a failure.
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

from tagmill.ingest.config.fetch import FetchOptions
from tagmill.ingest.fetch.deadlines import Deadline
from tagmill.ingest.fetch.host_limits import CircuitBreaker, HostSlots
from tagmill.ingest.fetch.robots_cache import RobotsCache
from tagmill.ingest.fetch.robots_rules import (
    MAX_ROBOTS_BYTES,
    MAX_ROBOTS_REDIRECTS,
    ROBOTS_PATH,
    RobotsAnswer,
    RobotsRules,
    judge,
    origin_of,
)
from tagmill.ingest.http.accept_header import accept_pictures
from tagmill.ingest.http.answers import Address, Expectation, Reply
from tagmill.ingest.http.client import Client
from tagmill.ingest.http.opt_out import Obeyed, agents_of
from tagmill.ingest.http.proxy import Proxies, RefusedHostError
from tagmill.ingest.http.public_addresses import may_be_public
from tagmill.ingest.http.retries import RetryBudget, backoff
from tagmill.ingest.http.single_request import LenientHosts
from tagmill.ingest.http.urls import describe_bad_url, parsed_url, resolve_redirect
from tagmill.ingest.http.usage_signals import MAX_TDMREP_BYTES, TDMREP_PATH, file_of, reservation_lines
from tagmill.ingest.progress.host_times import HostLatency
from tagmill.ingest.reasons import Reason

_UNREACHED = (Reason.CONNECTION, Reason.TIMEOUT, Reason.PRIVATE_ADDRESS)  # the host sent no answer to judge
_ALLOW = "is not on the public internet; --allow-private asks it all the same"
_PRIVATE_NAME = f"its name {_ALLOW}"
_PRIVATE_ADDRESS = f"its address {_ALLOW}"
_BREAKER_POLL = 1.0  # seconds between two looks at an open circuit breaker


@dataclass(frozen=True, slots=True)
class Fetched:
    """Result of fetching a URL: a body, or a reason with a detail. Both depend on the answer only, never on time."""

    body: bytes | None
    reason: Reason | None
    detail: str | None
    http_status: int | None  # of the last answer
    seconds: float  # of the deadline that were used
    fetched_at: datetime  # time of the first request
    host: str | None
    encoding: str | None = None  # content codings that could not be removed from the body


_TDMREP = Expectation("application/json, */*;q=0.1", MAX_TDMREP_BYTES, MAX_ROBOTS_REDIRECTS, is_robots=True)
_ROBOTS = Expectation("text/plain, */*;q=0.1", MAX_ROBOTS_BYTES, MAX_ROBOTS_REDIRECTS, is_robots=True)


class FetchState:
    """State of a process that outlives a Fetcher: circuit breakers, retry budget, latency, hosts for the lenient parser."""

    def __init__(self, config: FetchOptions) -> None:
        self.breaker = CircuitBreaker(config.host_failures)
        self.budget = RetryBudget(config.retry_share)
        self.latency = HostLatency()
        self.lenient_hosts = LenientHosts()


class Fetcher:
    """HTTP client under the limits of a config. Used as an async context manager, which holds the connections.

    The caller of `fetch` decides how many URLs are in flight. `workers` is the number of processes that share the run's
    limits per host with this one; hosts of `owned` get requests from this process alone. `robots` knows what hosts allow
    (None: robots.txt is not asked for). Raises ConfigError where the environment names a proxy that cannot be used.
    """

    def __init__(
        self,
        config: FetchOptions,
        workers: int = 1,
        state: FetchState | None = None,
        robots: RobotsCache | None = None,
        owned: frozenset[str] = frozenset(),
    ) -> None:
        self._config = config
        self._robots = robots
        self._state = FetchState(config) if state is None else state
        self.latency = HostLatency()  # of this fetcher alone; `state.latency` adds up over fetchers
        self._slots = HostSlots(config.host_concurrency, config.host_delay, workers, owned)
        self._proxies = Proxies.from_environment()
        self._agents = agents_of(config.user_agent)
        self._connect = config.timeout / (
            config.retries + 1
        )  # seconds; a connect that hangs leaves time for another try
        self._obeyed = obeyed_by(config)
        self._client = Client(config.full_user_agent, self._connect, self._obeyed, allow_private=config.allow_private)

    async def __aenter__(self) -> Self:
        # Names are resolved in threads. asyncio's default pool has about as many threads as cores, and dead name
        # servers would block all of them.
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
        """Returns the body of a normalised URL, or why there is none. Raises nothing for anything that a host does."""
        wanted = Expectation(accept_pictures(), self._config.max_bytes, self._config.max_redirects)
        return await self._fetch(url, wanted)

    async def robots_txt(self, origin: str) -> Fetched:
        """Fetches the robots.txt of an origin, up to `MAX_ROBOTS_BYTES`."""
        return await self._fetch(origin + ROBOTS_PATH, _ROBOTS)

    async def rules_of(self, origin: str) -> tuple[Fetched, RobotsAnswer]:
        """Fetches the robots.txt of an origin, and its tdmrep.json if that is obeyed and may be asked for.

        Returns the answer to the first request, and the rules of both.
        """
        found = await self.robots_txt(origin)
        answer = judge(found.body, found.reason, found.detail, found.http_status, self._agents)
        if answer.reason is not None or Reason.TDM_RESERVED not in self._obeyed.signals:
            return found, answer
        rules = RobotsRules(answer.rules)
        if not rules.allow(URL(origin + TDMREP_PATH)):
            return found, answer
        await asyncio.sleep(min(rules.crawl_delay, self._config.max_crawl_delay))
        lines = reservation_lines((await self._fetch(origin + TDMREP_PATH, _TDMREP)).body)
        return found, replace(answer, rules="\n".join(filter(None, [answer.rules, *lines])))

    async def _rules_of(self, origin: str) -> RobotsAnswer:
        return (await self.rules_of(origin))[1]

    async def _fetch(self, url: str, wanted: Expectation) -> Fetched:
        deadline, entered = Deadline(self._config.timeout), time.monotonic()
        target = parsed_url(url)
        if target is None:
            answer = Reply(reason=Reason.BAD_URL, detail=describe_bad_url(url))
        else:
            answer = await self._with_retries(target, deadline, wanted)
            size = 0 if answer.body is None else len(answer.body)
            for latency in (self._state.latency, self.latency):
                latency.note(target.raw_host or "", time.monotonic() - entered, size)
        return Fetched(
            body=answer.body,
            reason=answer.reason,
            detail=answer.detail,
            http_status=answer.http_status,
            seconds=self._config.timeout - deadline.left,
            fetched_at=deadline.begun or datetime.now(UTC),
            host=None if target is None else target.raw_host,
            encoding=answer.encoding,
        )

    async def _with_retries(self, url: URL, deadline: Deadline, wanted: Expectation) -> Reply:
        """Returns the first answer that no retry can improve, or the last one when tries, time or retry budget are used up."""
        self._state.budget.count_request()
        answer = await self._follow(url, deadline, wanted)
        for attempt in range(self._config.retries):
            wait = max(backoff(attempt), answer.wait)
            if not answer.retryable or wait >= deadline.left or not self._state.budget.take_retry():
                break
            await deadline.sleep(wait)
            another = await self._follow(url, deadline, wanted)
            if another.reason == Reason.HOST_DOWN:  # the answer before says more
                break
            answer = another
        return answer

    async def _follow(self, url: URL, deadline: Deadline, wanted: Expectation) -> Reply:
        """Makes one try: requests the URL and follows its redirects."""
        first, answer = url.raw_host, Reply()
        for _ in range(wanted.redirects + 1):
            gap = 0.0
            if self._robots is not None and not wanted.is_robots:
                admitted = await self._check_robots(url, deadline, self._robots)
                if isinstance(admitted, Reply):
                    return _with_host(replace(admitted, http_status=answer.http_status), url, first)
                gap = admitted
            answer = await self._request_once(url, deadline, wanted, gap)
            if answer.redirect is None:
                return _with_host(answer, url, first)
            followed = resolve_redirect(url, answer.redirect)
            if followed is None:
                where = f"leads to no http(s) URL: {answer.redirect[:100]!a}"
                detail = where if answer.redirect else "without a Location"
                return Reply(reason=Reason.REDIRECTS, detail=detail, http_status=answer.http_status)
            url = followed
        detail = f"more than {wanted.redirects}"
        return Reply(reason=Reason.REDIRECTS, detail=detail, http_status=answer.http_status)

    async def _check_robots(self, url: URL, deadline: Deadline, robots: RobotsCache) -> Reply | float:
        """Returns why robots.txt forbids a URL, or the crawl delay: seconds between two requests of the run."""
        origin = origin_of(url)
        found = robots.cached(origin)
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
        if (refused := found.signals.forbidding(url, self._obeyed.signals)) is not None:
            return Reply(reason=refused[0], detail=f"{file_of(refused[0])}: {refused[1]}")
        return min(found.crawl_delay, self._config.max_crawl_delay)

    async def _request_once(self, url: URL, deadline: Deadline, wanted: Expectation, gap: float) -> Reply:
        """Makes one request as soon as its host has a free slot, and records in the circuit breaker how the host answered."""
        host, allow_private = url.raw_host or "", self._config.allow_private
        try:
            proxy = self._proxies.of(url.scheme, host, allow_private=allow_private)
        except RefusedHostError:
            return Reply(reason=Reason.PRIVATE_ADDRESS, detail=_PRIVATE_NAME)
        peer, breaker = f"{host}:{url.port}", self._state.breaker
        async with self._slots.slot(host):
            while wait := breaker.wait(peer):
                if wait == math.inf:
                    return Reply(reason=Reason.HOST_DOWN, detail=peer)
                await asyncio.sleep(min(wait, _BREAKER_POLL))
            await self._slots.pace(host, gap)
            before = deadline.left
            try:
                answer = await self._request_with_fallback(url, proxy, deadline, wanted, gap)
            except TimeoutError:
                # A host is not to blame where earlier hops or tries have used up the time.
                to_blame = True if before >= self._connect else None
                detail = f"no whole answer within {self._config.timeout:g} s"
                answer = Reply(reason=Reason.TIMEOUT, detail=detail, host_failed=to_blame)
            if answer.busy:
                breaker.back_off(peer, answer.wait)
            elif answer.host_failed is not None:
                breaker.record(peer, answered=not answer.host_failed)
        if answer.reason == Reason.PRIVATE_ADDRESS:
            return replace(answer, detail=_PRIVATE_ADDRESS if may_be_public(host) else _PRIVATE_NAME)
        return answer

    async def _request_with_fallback(
        self, url: URL, proxy: str | None, deadline: Deadline, wanted: Expectation, gap: float
    ) -> Reply:
        """Makes one request, and a second one with the lenient parser where the client's parser refuses the answer.

        The second request is made once per URL. Hosts that are known to need the lenient parser get it at once. Raises
        TimeoutError at the deadline.
        """
        origin, hosts = origin_of(url), self._state.lenient_hosts
        if (address := hosts.get(origin, proxy)) is not None:
            reply = await self._request_leniently(url, proxy, deadline, wanted, address)
            if reply.reason in _UNREACHED:
                hosts.forget(origin, proxy)
            return reply
        async with deadline.passing():
            reply = await self._client.request(url, proxy, wanted)
        if (address := reply.unparsed_from) is None:
            if reply.http_status is not None:
                hosts.forget(origin, proxy)
            return reply
        if url in deadline.read_leniently:
            return reply
        await self._slots.pace(url.raw_host or "", gap)
        reply = await self._request_leniently(url, proxy, deadline, wanted, address)
        if reply.reason not in _UNREACHED:
            deadline.read_leniently.add(url)
            if reply.reason != Reason.TRUNCATED:
                hosts.refused(origin, proxy, address)
        return reply

    async def _request_leniently(
        self, url: URL, proxy: str | None, deadline: Deadline, wanted: Expectation, address: Address
    ) -> Reply:
        async with deadline.passing():
            return await self._client.request_leniently(url, proxy, wanted, address)


def obeyed_by(config: FetchOptions) -> Obeyed:
    """Returns which statements of sites a config obeys."""
    signals = {
        Reason.CONTENT_SIGNAL: config.honour_content_signal,
        Reason.CONTENT_USAGE: config.honour_content_usage,
        Reason.TDM_RESERVED: config.honour_tdm,
    }
    agents = agents_of(config.user_agent) if config.honour_opt_outs else None
    return Obeyed(agents, frozenset(reason for reason, is_honoured in signals.items() if is_honoured))


def _with_host(reply: Reply, url: URL, first: str | None) -> Reply:
    """Appends the host to the detail of a failure when a redirect led to another host."""
    if reply.reason is None or url.raw_host == first:
        return reply
    return replace(reply, detail=", ".join(filter(None, (reply.detail, f"at {url.raw_host}"))))
