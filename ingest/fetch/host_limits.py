"""Limits per host: concurrent requests, the gap between two requests, and a circuit breaker for hosts that are down."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

DOWN_INTERVAL = 60.0  # seconds until a host that is down gets one probe
# The same, opening by opening, for a host that has answered before. Its URLs wait: a minute without a network must not
# lose a list whose URLs are all on one host. After the last interval the host counts as down like any other.
OPEN_INTERVALS = (5.0, 10.0, 20.0, 40.0)
MAX_BACKOFF = 60.0  # seconds; the most that a Retry-After header is obeyed for
MAX_BACKOFFS = 20  # in a row without another answer; beyond it the host counts as down
MAX_KNOWN_HOSTS = 1 << 15  # the most recently used ones are remembered


@dataclass(slots=True)
class _HostState:
    answered: bool = False
    failures: int = 0  # in a row
    openings: int = 0  # in a row
    open_until: float = 0.0
    half_open: bool = False
    backoffs: int = 0  # in a row
    backoff_until: float = 0.0

    def close(self) -> None:
        """Resets the breaker after an answer."""
        self.answered = True
        self.failures = 0
        self.openings = 0
        self.half_open = False


class CircuitBreaker:
    """Knows which hosts are down (`max_failures` failures in a row) and which asked for a backoff. May outlive event loops.

    A host that is down is refused until its open interval is over. Then one probe request goes through: its answer
    closes the breaker, its failure opens it for the next interval. `clock` replaces the monotonic clock in tests.
    """

    def __init__(self, max_failures: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_failures = max_failures
        self._clock = clock
        self._hosts: OrderedDict[str, _HostState] = OrderedDict()

    def wait(self, host: str) -> float:
        """Returns the seconds to wait before calling again.

        0 means: make the request now and `record` its outcome. Infinity means: do not request from this host.
        """
        known = self._hosts.get(host)
        if known is None:
            return 0.0
        now = self._clock()
        if known.backoff_until > now:
            return math.inf if known.backoffs > MAX_BACKOFFS else known.backoff_until - now
        if known.failures < self._max_failures:
            return 0.0
        if known.open_until > now:
            worth_waiting = known.answered and known.openings <= len(OPEN_INTERVALS)
            return known.open_until - now if worth_waiting else math.inf
        known.open_until = now + DOWN_INTERVAL  # no other request until this probe has an answer
        known.half_open = True
        return 0.0

    def record(self, host: str, *, answered: bool) -> None:
        """Records whether the host answered, whatever the answer was."""
        known = self._state_of(host)
        if answered:
            known.close()
            if known.backoff_until <= self._clock():
                known.backoffs = 0
            return
        known.failures += 1
        if known.failures == self._max_failures or known.half_open:
            retry_soon = known.answered and known.openings < len(OPEN_INTERVALS)
            known.open_until = self._clock() + (OPEN_INTERVALS[known.openings] if retry_soon else DOWN_INTERVAL)
            known.openings += 1
            known.half_open = False

    def back_off(self, host: str, seconds: float) -> None:
        """Records that the host answered and asked for no requests for `seconds`."""
        known, now = self._state_of(host), self._clock()
        known.close()
        known.backoffs += known.backoff_until <= now  # requests that were in flight together count once
        known.backoff_until = max(known.backoff_until, now + min(seconds, MAX_BACKOFF))

    def _state_of(self, host: str) -> _HostState:
        known = self._hosts.setdefault(host, _HostState())
        self._hosts.move_to_end(host)
        if len(self._hosts) > MAX_KNOWN_HOSTS:
            self._hosts.popitem(last=False)
        return known


@dataclass(slots=True)
class _HostQueue:
    slots: asyncio.Semaphore
    users: int = 0  # requests that hold a slot or wait for one
    free_at: float = 0.0  # when the next request may begin


@dataclass
class HostSlots:
    """Grants request slots at hosts, for one event loop.

    Over `workers` processes at most `at_once` slots per host are held at a time, and requests to a host begin `gap` seconds
    apart: each process takes its share, one slot at least. No other process sends requests to hosts of `owned`, so that
    this one has the whole of their limits.
    """

    at_once: int
    gap: float = 0.0
    workers: int = 1
    owned: frozenset[str] = frozenset()
    _hosts: dict[str, _HostQueue] = field(default_factory=dict)
    _sweep_at: int = 1024

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Waits for a slot at the host and holds it for the body of the context."""
        queue = self._hosts.get(host)
        if queue is None:
            self._sweep()
            queue = self._hosts[host] = _HostQueue(asyncio.Semaphore(max(1, self.at_once // self._share(host))))
        queue.users += 1
        try:
            async with queue.slots:
                yield
        finally:
            queue.users -= 1
            if not queue.users and queue.free_at <= time.monotonic():
                del self._hosts[host]

    async def pace(self, host: str, gap: float = 0.0) -> None:
        """Waits, within a slot, until at least max(gap, self.gap) seconds have passed since the request before; where other
        processes send requests too, as many times more as there are processes."""
        gap = max(gap, self.gap) * self._share(host)
        if gap:
            queue, now = self._hosts[host], time.monotonic()
            begin = max(now, queue.free_at)
            queue.free_at = begin + gap
            await asyncio.sleep(begin - now)

    def _share(self, host: str) -> int:
        """Returns the number of processes that share the limits of a host."""
        return 1 if host in self.owned else self.workers

    def _sweep(self) -> None:
        """Forgets hosts whose gap is over, each time their number has doubled."""
        if len(self._hosts) < self._sweep_at:
            return
        now = time.monotonic()
        self._hosts = {name: host for name, host in self._hosts.items() if host.users or host.free_at > now}
        self._sweep_at = max(1024, 2 * len(self._hosts))
