"""Where a process is in its run: noted by the thread that trains, and read by others."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

Phase = Literal[
    "starting", "agreement", "log", "saving", "evaluation", "loading", "forward", "backward", "optimiser", "ended"
]
PHASES: tuple[str, ...] = get_args(Phase)
"""In the order of a turn: `agreement` is the first after a step is done, and `optimiser` the last before the next is."""


class Position(NamedTuple):
    """What a process does. All processes of a run pass through the same places, so the lowest one is behind."""

    step: int  # steps that are done; -1 before the first
    order: int  # of the phase, in PHASES
    item: int = 0  # within the phase: batches of an evaluation

    @property
    def phase(self) -> str:
        """Name of the phase."""
        return PHASES[self.order]


START = Position(-1, PHASES.index("starting"))
END = Position(1 << 62, PHASES.index("ended"))


class Progress:
    """The place of a process, since when it is there, and its seconds in each phase. A change costs under a microsecond, and
    nothing waits for a device: of a GPU it is the place of the process that gives it work."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now = (START, clock())
        self._seconds = defaultdict[str, float](float)
        self._first: int | None = None
        self.begun = False
        """Whether this process has taken a step. The first one takes longer: it compiles, and nothing is read ahead."""

    def at(self, phase: Phase, step: int, item: int = 0) -> None:
        """Notes a change: `step` steps are done, and `phase` begins, or the next item of it."""
        (before, since), now = self._now, self._clock()
        self._seconds[before.phase] += now - since
        self._now = (Position(step, PHASES.index(phase), item), now)
        if self._first is None:
            self._first = step
        self.begun = self.begun or step > self._first

    def read(self) -> tuple[Position, float]:
        """Returns the place, and the seconds since it began."""
        place, since = self._now
        return place, self._clock() - since

    def seconds(self) -> dict[str, float]:
        """Returns the seconds in each phase so far, without the present one.

        A process that waits for others has them in "backward" or "agreement", one that others wait for in "loading" or
        "forward".
        """
        return dict(self._seconds)
