"""What long work reports to while it goes on: stages, what is done of each, and what was fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class SlowHost(Protocol):
    """A host that took much of the time of a fetch. Its name is not trusted."""

    @property
    def host(self) -> str: ...

    @property
    def seconds(self) -> float: ...

    @property
    def urls(self) -> int: ...

    @property
    def mean(self) -> float:
        """Seconds per URL."""


class Traffic(Protocol):
    """What a run has fetched so far."""

    @property
    def size(self) -> int:
        """Bytes of response bodies."""

    @property
    def slowest(self) -> Sequence[SlowHost]:
        """The hosts that took the most time, most first."""


@dataclass(frozen=True, slots=True)
class NoTraffic:
    """The traffic of a stage that fetches nothing."""

    size: int = 0
    slowest: tuple[SlowHost, ...] = ()


class Progress(Protocol):
    """What the stages of a command report to, from one thread."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begins a stage of `total` rows, or of other units (None: unknown), and ends the one before. A part of a stage has
        the stage's name, a colon, and its own."""

    def advance(self, n: int, **counts: int) -> None:
        """Adds `n` of them that are done; `counts` has their number by outcome: `ok`, or the reason of a reject."""

    def fetched(self, traffic: Traffic) -> None:
        """Sets what the run has fetched so far, and which hosts took the most time."""


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        del name, total

    def advance(self, n: int, **counts: int) -> None:
        del n, counts

    def fetched(self, traffic: Traffic) -> None:
        del traffic
