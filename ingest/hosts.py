"""Manners towards one host: how many requests at once, how soon after another, and when to leave it alone."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PAUSE = 60.0  # seconds for which a host that is down is left alone before it is asked once more
MOST_HOSTS = 1 << 16  # that are remembered; of billions of URLs many hosts are dead


@dataclass(slots=True)
class _Failing:
    in_a_row: int = 0
    until: float = 0.0  # when it may be asked again; of use where it is down


class Breaker:
    """Knows which hosts are down: those that failed `most` times in a row. It may outlive event loops.

    A host that is down is refused for `pause` seconds; then one request goes through, which decides: it answers and all
    is forgotten, or it is refused for as long again. `clock` is for tests.
    """

    def __init__(self, most: int, pause: float = PAUSE, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._pause, self._clock = most, pause, clock
        self._failing: OrderedDict[str, _Failing] = OrderedDict()

    def allows(self, host: str) -> bool:
        """Whether to ask the host; whoever is told so must `note` what came of it."""
        failing = self._failing.get(host)
        if failing is None or failing.in_a_row < self._most:
            return True
        now = self._clock()
        if now < failing.until:
            return False
        failing.until = now + self._pause  # nobody else, until this one is back
        return True

    def note(self, host: str, *, answered: bool) -> None:
        """The host answered, whatever it said, or it did not."""
        if answered:
            self._failing.pop(host, None)
            return
        failing = self._failing.setdefault(host, _Failing())
        self._failing.move_to_end(host)
        failing.in_a_row += 1
        failing.until = self._clock() + self._pause
        if len(self._failing) > MOST_HOSTS:
            self._failing.popitem(last=False)


@dataclass(slots=True)
class _Host:
    turns: asyncio.Semaphore
    users: int = 0  # who hold a turn or wait for one
    free_at: float = 0.0  # when the next request may begin


@dataclass
class Turns:
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
            if not mine.users and not self.gap:
                del self._hosts[host]

    async def space(self, host: str) -> None:
        """Within a turn: waits until `gap` seconds lie between this request and the one before."""
        if self.gap:
            mine, now = self._hosts[host], time.monotonic()
            begin = max(now, mine.free_at)
            mine.free_at = begin + self.gap
            await asyncio.sleep(begin - now)

    def _sweep(self) -> None:
        """Forgets hosts whose gap is over, whenever their number has doubled."""
        if len(self._hosts) < self._sweep_at:
            return
        now = time.monotonic()
        self._hosts = {name: host for name, host in self._hosts.items() if host.users or host.free_at > now}
        self._sweep_at = max(1024, 2 * len(self._hosts))
