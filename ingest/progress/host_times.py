"""Measures which hosts take the most time of a fetch, in memory that does not grow with the number of hosts.

The counters are the "space saving" algorithm (Metwally, Agrawal, El Abbadi, 2005), weighted by seconds: a host that takes more
than 1 / `SLOTS` of all seconds is never missed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

SLOTS = 128  # hosts that a worker counts
HOSTS_REPORTED = 10
MOST_HOST_NAME = 253  # characters of a host name (RFC 1035)


@dataclass(frozen=True, slots=True)
class HostTime:
    """The time that the URLs of a host took, including the wait for a permit at the host."""

    host: str
    seconds: float  # a lower bound
    urls: int

    @property
    def mean(self) -> float:
        """Seconds per URL."""
        return self.seconds / max(self.urls, 1)


@dataclass(frozen=True, slots=True)
class FetchStats:
    """What one worker or all workers have fetched so far; `slowest` is sorted by seconds, most first."""

    size: int = 0  # bytes of response bodies
    seconds: float = 0.0  # summed over URLs
    slowest: tuple[HostTime, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns the fields as JSON types, with at most `HOSTS_REPORTED` hosts."""
        hosts = [[each.host, round(each.seconds, 3), each.urls] for each in self.slowest[:HOSTS_REPORTED]]
        return {"size": self.size, "seconds": round(self.seconds, 3), "hosts": hosts}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Reads what `as_json` returns; a missing field has its default."""
        hosts = tuple(HostTime(*host) for host in fields.get("hosts", ()))
        return cls(fields.get("size", 0), fields.get("seconds", 0.0), hosts)

    @classmethod
    def sum(cls, workers: Iterable["FetchStats"]) -> Self:
        """Adds the stats of several workers."""
        each = list(workers)
        hosts: dict[str, HostTime] = {}
        for one in (host for worker in each for host in worker.slowest):
            other = hosts.get(one.host, HostTime(one.host, 0.0, 0))
            hosts[one.host] = HostTime(one.host, one.seconds + other.seconds, one.urls + other.urls)
        return cls(sum(one.size for one in each), sum(one.seconds for one in each), _first(hosts.values()))


def _first(hosts: Iterable[HostTime]) -> tuple[HostTime, ...]:
    return tuple(sorted(hosts, key=lambda each: (-each.seconds, each.host))[:HOSTS_REPORTED])


class HostLatency:
    """Measures what a process fetches."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._hosts: dict[str, list[float]] = {}  # seconds, the part of them inherited from dropped hosts, URLs
        self._bytes, self._seconds = 0, 0.0

    def note(self, host: str, seconds: float, size: int) -> None:
        """Adds a URL of a host that took `seconds`, with a body of `size` bytes."""
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
        """Returns the stats so far, rounded to milliseconds."""
        known = (HostTime(host, round(mine[0] - mine[1], 3), int(mine[2])) for host, mine in self._hosts.items())
        return FetchStats(self._bytes, round(self._seconds, 3), _first(known))
