"""Stops a run when too many of its rows have failed."""

from collections import Counter

from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.reasons import Reason, commonest
from tagmill.shards.errors import TagmillError
from tagmill.shards.progress.protocol import Progress, Traffic

# The flag that avoids a reason; the message suggests it where the reason is the most frequent.
_FLAGS: dict[str, str] = {
    Reason.PRIVATE_ADDRESS: "--allow-private also fetches from loopback and private addresses",
    Reason.ROBOTS: "--no-honour-robots ignores robots.txt",
    Reason.OPTED_OUT: "--no-honour-opt-outs ignores X-Robots-Tag",
    Reason.CONTENT_SIGNAL: "--no-honour-content-signal ignores Content-Signal",
    Reason.CONTENT_USAGE: "--no-honour-content-usage ignores Content-Usage",
    Reason.TDM_RESERVED: "--no-honour-tdm ignores tdm-reservation",
    Reason.IPTC_RESERVED: "--no-honour-iptc ignores plus:DataMining",
    Reason.C2PA_RESERVED: "--no-honour-c2pa ignores C2PA manifests",
    Reason.TIMEOUT: "--timeout allows a URL more seconds",
    Reason.TOO_BIG: "--max-bytes allows larger files",
    Reason.TOO_SMALL: "--min-side allows smaller images",
    Reason.TOO_MANY_PIXELS: "--max-pixels allows larger images",
    Reason.TOO_NARROW: "--max-aspect allows narrower images",
    Reason.ALTERED: "--altered keep marks images that are not the list's",
    Reason.NEEDS_ENCODING: "--reencode auto encodes images that need it",
}
NO_FAILURE = ("ok", Reason.TAKEN_DOWN, Reason.BLOCKED, Reason.DUPLICATE)


class FailureBudget:
    """Passes progress on, and stops the run once the share of failed rows exceeds the budget."""

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

    def fetched(self, traffic: Traffic) -> None:
        assert isinstance(traffic, FetchStats)  # only the workers of ingest report to it
        self.traffic = traffic
        self._progress.fetched(traffic)

    def check(self, *, done: bool = False) -> None:
        """Raises TagmillError where the budget is exceeded, and, with `done`, where no row has an image.

        Rows that are taken down, blocked or duplicates are not failures.
        """
        failures = {reason: count for reason, count in self._counts.items() if reason not in NO_FAILURE}
        failed = sum(failures.values())
        if done and not (self._counts["ok"] or self._counts[Reason.DUPLICATE]):
            raise self._nothing(failures)
        if failed > self._share * self._rows:
            what = f"{failed} of {self._rows} rows failed, failure_budget allows {self._share:.0%}: {_top(failures)}"
            remedy = "give a higher --failure-budget and run it again (finished parts are kept), or fix the list or the network"
            raise TagmillError(what, self._where, f"{remedy} and choose another output{_way(failures)}")

    def _nothing(self, failures: dict[str, int]) -> TagmillError:
        """The error where no row has an image: another budget would not help."""
        if not failures:
            what = f"all images of {self._rows} rows are forbidden: {_top(dict(self._counts))}"
            return TagmillError(
                what, self._where, "give another list, or other --takedown and --blocklist, and another output"
            )
        what = f"none of {self._rows} rows has an image: {_top(failures)}"
        remedy = "failed rows are not tried again here: fix the list or the network, and choose another output"
        return TagmillError(what, self._where, remedy + _way(failures))


def _top(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in commonest(counts, 3).items())


def _way(failures: dict[str, int]) -> str:
    """Suggests the flag that avoids the most frequent reason, if there is one."""
    (reason,) = commonest(failures, 1)
    return f"; {_FLAGS[reason]}" if reason in _FLAGS else ""
