"""How many rows of a run may fail before it stops."""

from collections import Counter

from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.progress.progress import Progress
from tagmill.ingest.reasons import Reason, commonest
from tagmill.shards.errors import TagmillError

# What a flag can do about a reason; where it is the commonest, the message names it.
_WAYS: dict[str, str] = {
    Reason.PRIVATE_ADDRESS: "--allow-private also fetches from loopback and private addresses",
    Reason.ROBOTS: "--no-honour-robots asks in spite of robots.txt",
    Reason.OPTED_OUT: "--no-honour-opt-outs takes pictures in spite of X-Robots-Tag",
    Reason.TIMEOUT: "--timeout gives a URL more seconds",
    Reason.TOO_BIG: "--max-bytes allows longer files",
    Reason.TOO_SMALL: "--min-side allows smaller pictures",
    Reason.TOO_MANY_PIXELS: "--max-pixels allows larger pictures",
    Reason.TOO_NARROW: "--max-aspect allows narrower pictures",
    Reason.NEEDS_ENCODING: "--reencode auto encodes what needs it",
}
NO_FAILURE = ("ok", Reason.TAKEN_DOWN, Reason.BLOCKED, Reason.DUPLICATE)


class FailureBudget:
    """Passes progress on, and stops the run as soon as more rows have failed than may."""

    def __init__(self, progress: Progress, rows: int, share: float, where: str) -> None:
        self._progress, self._rows, self._share, self._where = progress, rows, share, where
        self._counts: Counter[str] = Counter()
        self.traffic = FetchStats()

    def stage(self, name: str, total: int | None = None) -> None:
        self._progress.stage(name, total)

    def advance(self, n: int, **counts: int) -> None:
        self._progress.advance(n, **counts)
        self._counts.update(counts)
        self.check()

    def fetched(self, traffic: FetchStats) -> None:
        self.traffic = traffic
        self._progress.fetched(traffic)

    def check(self, *, done: bool = False) -> None:
        """Raises TagmillError beyond the budget; at the end also where nothing is left to make a corpus of. What must
        not come in, or is in the corpus already, is no failure."""
        failures = {reason: count for reason, count in self._counts.items() if reason not in NO_FAILURE}
        failed = sum(failures.values())
        if done and not (self._counts["ok"] or self._counts[Reason.DUPLICATE]):
            raise self._nothing(failures)
        if failed > self._share * self._rows:
            what = f"{failed} of {self._rows} rows failed, failure_budget allows {self._share:.0%}: {_top(failures)}"
            remedy = (
                "give a higher --failure-budget and run it again (what is done stays), or mend the list or the network"
            )
            raise TagmillError(what, self._where, f"{remedy} and choose another output{_way(failures)}")

    def _nothing(self, failures: dict[str, int]) -> TagmillError:
        """No row gave a picture: another budget would not help."""
        if not failures:
            what = f"no picture may come in of {self._rows} rows: {_top(dict(self._counts))}"
            return TagmillError(
                what, self._where, "give another list, or other --takedown and --blocklist, and another output"
            )
        what = f"no picture came of {self._rows} rows: {_top(failures)}"
        remedy = "what failed is not tried again here: mend the list or the network and choose another output"
        return TagmillError(what, self._where, remedy + _way(failures))


def _top(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in commonest(counts, 3).items())


def _way(failures: dict[str, int]) -> str:
    """The flag that helps against the commonest reason, if there is one."""
    (reason,) = commonest(failures, 1)
    return f"; {_WAYS[reason]}" if reason in _WAYS else ""
