"""Where the time of fetching goes: the hosts that URLs waited for longest, in memory that does not grow with their number.

Counters are those of "space saving" (Metwally, Agrawal, El Abbadi, 2005), weighted by seconds: a host that takes more than
1 / `SLOTS` of all seconds is never missed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

SLOTS = 128  # hosts that a worker counts
HOSTS_REPORTED = 10  # hosts that are told
MOST_HOST_NAME = 253  # characters of a host's name (RFC 1035)


@dataclass(frozen=True, slots=True)
class HostTime:
    """What a host took of a run: of the seconds that its URLs held a request's place, waiting for a turn included."""

    host: str
    seconds: float  # at least so many
    urls: int

    @property
    def mean(self) -> float:
        """Seconds a URL."""
        return self.seconds / max(self.urls, 1)


@dataclass(frozen=True, slots=True)
class FetchStats:
    """What was fetched so far, by one worker or by all; `slowest` begins with the host that took the most seconds."""

    size: int = 0  # bytes of bodies
    seconds: float = 0.0  # summed over URLs
    slowest: tuple[HostTime, ...] = ()

    def told(self) -> dict[str, Any]:
        """As JSON has it, of at most `HOSTS_REPORTED` hosts."""
        hosts = [[each.host, round(each.seconds, 3), each.urls] for each in self.slowest[:HOSTS_REPORTED]]
        return {"size": self.size, "seconds": round(self.seconds, 3), "hosts": hosts}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Reads what `told` gives; what is missing is nothing."""
        hosts = tuple(HostTime(*host) for host in told.get("hosts", ()))
        return cls(told.get("size", 0), told.get("seconds", 0.0), hosts)

    def json(self) -> bytes:
        return json.dumps(self.told()).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads `json`'s bytes."""
        return cls.of(json.loads(data))

    @classmethod
    def sum(cls, workers: Iterable["FetchStats"]) -> Self:
        """That of several workers."""
        each = list(workers)
        hosts: dict[str, HostTime] = {}
        for one in (host for worker in each for host in worker.slowest):
            other = hosts.get(one.host, HostTime(one.host, 0.0, 0))
            hosts[one.host] = HostTime(one.host, one.seconds + other.seconds, one.urls + other.urls)
        return cls(sum(one.size for one in each), sum(one.seconds for one in each), _first(hosts.values()))


def _first(hosts: Iterable[HostTime]) -> tuple[HostTime, ...]:
    return tuple(sorted(hosts, key=lambda each: (-each.seconds, each.host))[:HOSTS_REPORTED])


class HostLatency:
    """Counts what a process fetches."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._hosts: dict[str, list[float]] = {}  # seconds, of these inherited from hosts that were dropped, URLs
        self._bytes, self._seconds = 0, 0.0

    def note(self, host: str, seconds: float, size: int) -> None:
        """A URL of a host is done after so many seconds; its body had `size` bytes."""
        self._bytes += size
        self._seconds += seconds
        host = host[:MOST_HOST_NAME]
        mine = self._hosts.get(host)
        if mine is None:
            inherited = 0.0
            if len(self._hosts) >= self._slots:
                least = min(self._hosts, key=lambda name: self._hosts[name][0])
                inherited = self._hosts.pop(least)[0]
            mine = self._hosts[host] = [inherited, inherited, 0]
        mine[0] += seconds
        mine[2] += 1

    def traffic(self) -> FetchStats:
        """What was counted so far, to the millisecond."""
        known = (HostTime(host, round(mine[0] - mine[1], 3), int(mine[2])) for host, mine in self._hosts.items())
        return FetchStats(self._bytes, round(self._seconds, 3), _first(known))
