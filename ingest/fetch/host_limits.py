"""Manners towards one host: how many requests at once, how soon after another, and when to leave it alone."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PAUSE = 60.0  # seconds for which a host that is down is left alone before it is asked once more
# The same for a host that has answered before, pause by pause. Its URLs wait, because a minute without a network must not
# cost a list that lies on one host; after the last pause it is down like any other.
OPEN_INTERVALS = (5.0, 10.0, 20.0, 40.0)
MOST_REST = 60.0  # seconds, of those that a host asks to be spared
MOST_RESTS = 20  # in a row without another answer between them, before it is as good as down
MOST_KNOWN_HOSTS = 1 << 15  # that are remembered, the last that were heard of


@dataclass(slots=True)
class _Known:
    answered: bool = False
    failures: int = 0  # in a row
    pauses: int = 0
    paused_until: float = 0.0
    probing: bool = False
    rests: int = 0
    rests_until: float = 0.0


class CircuitBreaker:
    """Knows which hosts are down, failing `most` times in a row, and which want to rest. It may outlive event loops.

    A host that is down is refused until a pause is over; then one request goes through, which decides: it answers and the
    failures are forgotten, or the next pause begins. `clock` is for tests.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def wait(self, host: str) -> float:
        """Seconds after which to call again; 0: ask now, and `note` what came of it; infinity: do not ask at all."""
        known = self._known.get(host)
        if known is None:
            return 0.0
        now = self._clock()
        if known.rests_until > now:
            return math.inf if known.rests > MOST_RESTS else known.rests_until - now
        if known.failures < self._most:
            return 0.0
        if known.paused_until > now:
            waited_for = known.answered and known.pauses <= len(OPEN_INTERVALS)
            return known.paused_until - now if waited_for else math.inf
        known.paused_until, known.probing = now + PAUSE, True  # nobody else, until this one is back
        return 0.0

    def note(self, host: str, *, answered: bool) -> None:
        """The host answered, whatever it said, or it did not."""
        known = self._of(host)
        if answered:
            known.answered, known.failures, known.pauses, known.probing = True, 0, 0, False
            if known.rests_until <= self._clock():
                known.rests = 0
            return
        known.failures += 1
        if known.failures == self._most or known.probing:
            patient = known.answered and known.pauses < len(OPEN_INTERVALS)
            known.paused_until = self._clock() + (OPEN_INTERVALS[known.pauses] if patient else PAUSE)
            known.pauses, known.probing = known.pauses + 1, False

    def rest(self, host: str, seconds: float) -> None:
        """The host answered that it wants to be spared for so long."""
        known, now = self._of(host), self._clock()
        known.answered, known.failures, known.pauses, known.probing = True, 0, 0, False
        known.rests += known.rests_until <= now  # one for all requests that were in flight
        known.rests_until = max(known.rests_until, now + min(seconds, MOST_REST))

    def _of(self, host: str) -> _Known:
        known = self._known.setdefault(host, _Known())
        self._known.move_to_end(host)
        if len(self._known) > MOST_KNOWN_HOSTS:
            self._known.popitem(last=False)
        return known


@dataclass(slots=True)
class _Host:
    turns: asyncio.Semaphore
    users: int = 0  # who hold a turn or wait for one
    free_at: float = 0.0  # when the next request may begin


@dataclass
class HostSlots:
    """Deals turns at hosts, of one event loop: at most `at_once` are held, and requests begin `gap` seconds apart."""

    at_once: int
    gap: float = 0.0
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _sweep_at: int = 1024

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """A turn at the host, as soon as there is one."""
        mine = self._hosts.get(host)
        if mine is None:
            self._sweep()
            mine = self._hosts[host] = _Host(asyncio.Semaphore(self.at_once))
        mine.users += 1
        try:
            async with mine.turns:
                yield
        finally:
            mine.users -= 1
            if not mine.users and mine.free_at <= time.monotonic():
                del self._hosts[host]

    async def space(self, host: str, gap: float = 0.0) -> None:
        """Within a turn: waits until so many seconds, and `gap` of them if that is more, lie between it and the one before."""
        gap = max(gap, self.gap)
        if gap:
            mine, now = self._hosts[host], time.monotonic()
            begin = max(now, mine.free_at)
            mine.free_at = begin + gap
            await asyncio.sleep(begin - now)

    def _sweep(self) -> None:
        """Forgets hosts whose gap is over, whenever their number has doubled."""
        if len(self._hosts) < self._sweep_at:
            return
        now = time.monotonic()
        self._hosts = {name: host for name, host in self._hosts.items() if host.users or host.free_at > now}
        self._sweep_at = max(1024, 2 * len(self._hosts))
