"""Which process of a run holds up the others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from tagmill.training.parallel.progress import END, START, Position

_MOST_NAMED = 8  # in one line
FIRST = 3  # limits of a process that has not taken a step yet: it compiles, and opens the corpus


@dataclass(frozen=True)
class Beat:
    """What a process says of itself at intervals."""

    rank: int
    host: str
    local_rank: int
    pid: int
    number: int  # how many it has said
    place: Position
    seconds: float  # since it came to its place
    begun: bool

    def text(self) -> str:
        """Returns it as JSON."""
        return json.dumps(asdict(self) | {"place": list(self.place)})

    @classmethod
    def of(cls, text: bytes | str) -> Self:
        """Reads what `text` returns."""
        found = json.loads(text)
        return cls(**found | {"place": Position(*found["place"])})

    def name(self) -> str:
        """Returns who it is, for a person who looks for it."""
        return f"rank {self.rank} (host {self.host}, local rank {self.local_rank}, process {self.pid})"

    def where(self) -> str:
        """Returns its phase and step in words."""
        if self.place.step == START.step:
            return "the start, before its first step"
        return f"{self.place.phase} of step {self.place.step + 1:,}"


@dataclass(frozen=True)
class Verdict:
    """The processes that hold up a run."""

    ranks: tuple[int, ...]
    line: str

    def text(self) -> str:
        """Returns it as JSON."""
        return json.dumps([self.ranks, self.line])

    @classmethod
    def of(cls, text: bytes | str) -> Self:
        """Reads what `text` returns."""
        ranks, line = json.loads(text)
        return cls(tuple(ranks), line)


def judge(beats: Sequence[Beat], unchanged: Mapping[int, float], limit: float, silent: float) -> Verdict | None:
    """Names the processes that are behind, if they have been at their place for `limit` seconds; None if none has.

    `unchanged`: seconds since the last new beat of each rank. A process that says nothing for `silent` seconds does not run:
    it is stopped or dead, and named wherever it was. Otherwise the lowest place is behind, and the others wait for it. No
    clocks of different machines are compared.
    """
    still = [beat for beat in beats if beat.place != END]
    mute = [beat for beat in still if unchanged[beat.rank] >= silent]
    last = min((beat.place for beat in still), default=None)
    found = mute or [beat for beat in still if beat.place == last]
    ages = {beat.rank: beat.seconds + unchanged[beat.rank] for beat in found}
    if not found or any(ages[beat.rank] < limit * (1 if beat.begun else FIRST) for beat in found):
        return None
    others = len(still) - len(found)
    who = [_line(beat, ages[beat.rank], bool(mute), unchanged[beat.rank]) for beat in found[:_MOST_NAMED]]
    who += [f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    waiting = f" ({others} waiting)" if others else ""
    return Verdict(tuple(ages), "; ".join(who) + waiting)


def _line(beat: Beat, age: float, mute: bool, unchanged: float) -> str:
    if mute:
        return f"{beat.name()} has said nothing for {unchanged:,.0f} s, last in {beat.where()}"
    return f"{beat.name()} has been in {beat.where()} for {age:,.0f} s"
