"""How many rows of a run may fail before it stops."""

from collections import Counter

from tagmill.ingest.progress import Progress
from tagmill.ingest.reasons import Reason
from tagmill.ingest.report import commonest
from tagmill.ingest.waits import Traffic
from tagmill.shards.errors import TagmillError

NO_FAILURE = ("ok", Reason.TAKEN_DOWN, Reason.BLOCKED, Reason.DUPLICATE)


class Budget:
    """Passes progress on, and stops the run as soon as more rows have failed than may."""

    def __init__(self, progress: Progress, rows: int, share: float, where: str) -> None:
        self._progress, self._rows, self._share, self._where = progress, rows, share, where
        self._counts: Counter[str] = Counter()
        self.traffic = Traffic()

    def stage(self, name: str, total: int | None = None) -> None:
        self._progress.stage(name, total)

    def advance(self, n: int, **counts: int) -> None:
        self._progress.advance(n, **counts)
        self._counts.update(counts)
        self.check()

    def fetched(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self._progress.fetched(traffic)

    def check(self, *, done: bool = False) -> None:
        """Raises TagmillError beyond the budget; at the end also where nothing is left to make a corpus of. What must
        not come in, or is in the corpus already, is no failure."""
        reasons = {reason: count for reason, count in self._counts.items() if reason not in NO_FAILURE}
        failed = sum(reasons.values())
        if failed > self._share * self._rows or (done and not (self._counts["ok"] or self._counts[Reason.DUPLICATE])):
            top = ", ".join(f"{reason} {count}" for reason, count in commonest(reasons, 3).items())
            what = f"{failed} of {self._rows} rows failed, the budget is {self._share:.0%}: {top}"
            remedy = "mend the list or the network and choose another output, or raise failure_budget and run again"
            raise TagmillError(what, self._where, remedy)
