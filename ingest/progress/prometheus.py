"""Writes progress as a file of metrics for node_exporter's textfile collector, in the Prometheus text format.

A stage is a label. Hosts are not, because a Prometheus server keeps every label value that it has seen for months.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tagmill.shards.errors import ConfigError
from tagmill.shards.progress.counts import ProgressCounts
from tagmill.shards.progress.protocol import Progress, Traffic

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two writes
_PREFIX = "tagmill_ingest_"
_OK = "ok"
_Sample = tuple[list[str], float]  # the values of the labels, and the metric's own


@dataclass
class _Stage:
    """A stage that has begun, and what came of it."""

    counts: ProgressCounts
    seconds: float | None = None  # once it has ended

    def lasted(self) -> float:
        return time.monotonic() - self.counts.begun if self.seconds is None else self.seconds


class PrometheusProgress:
    """Passes progress on to another, and writes it to a file every few seconds and at the end, by one rename.

    A context manager. Raises ConfigError where the file cannot be written at first. Later that is a warning, because a full
    disk must not end a run for its metrics. As a collector of prometheus_client it gives the metrics to other exporters too.
    """

    def __init__(self, inner: Progress, path: Path, name: str, every: float = EVERY) -> None:
        """`name` is that of the corpus, a label of every run on a machine."""
        self._inner, self._path, self._name, self._every = inner, path, name, every
        self._lock, self._over = threading.Lock(), threading.Event()
        self._stages: dict[str, _Stage] = {}
        self._now: _Stage | None = None
        self._bytes: dict[str, int] = {}  # by stage: each counts from nothing
        self._ended: bool | None = None  # well or not
        self._warned = False
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._writer = threading.Thread(target=self._keep_writing, name="prometheus", daemon=True)

    def __enter__(self) -> Self:
        try:
            self.write()
        except OSError as error:
            remedy = "give a file in a folder that is there and may be written to"
            raise ConfigError(f"cannot write metrics: {error.strerror}", str(self._path), remedy) from error
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._writer.join()
        with self._lock:
            self._end_stage()
            self._ended = kind is None
        self._try_to_write()

    def stage(self, name: str, total: int | None = None) -> None:
        with self._lock:
            self._end_stage()
            self._now = self._stages[name] = _Stage(ProgressCounts(name, total))
        self._inner.stage(name, total)

    def advance(self, n: int, **counts: int) -> None:
        with self._lock:
            if self._now is not None:
                self._now.counts.add(n, counts)
        self._inner.advance(n, **counts)

    def fetched(self, traffic: Traffic) -> None:
        with self._lock:
            if self._now is not None:
                self._bytes[self._now.counts.name] = traffic.size
        self._inner.fetched(traffic)

    def write(self) -> None:
        """Writes the file now. Raises OSError."""
        write_to_textfile(str(self._path), self._registry)

    def collect(self) -> list[Metric]:
        """Returns all metrics as they are now."""
        with self._lock:
            return list(self._families())

    def _families(self) -> Iterator[Metric]:
        name, stages = self._name, list(self._stages.items())
        rows = [([name, stage], each) for stage, each in stages]
        info = [([name, version("tagmill")], 1.0)]
        yield _gauge("build_info", "Which tagmill is running; always 1.", info, "version")
        yield _gauge("running", "1 while the run is going on.", [([name], float(self._ended is None))])
        if self._ended is not None:
            what = "Whether the run ended with a corpus (1) or with an error (0)."
            yield _gauge("success", what, [([name], float(self._ended))])
        yield _gauge("updated_timestamp_seconds", "When this was written, Unix time.", [([name], time.time())])

        done = [(labels, each.counts.done) for labels, each in rows]
        yield _counter("stage_rows", "Rows, or hosts, that a stage is done with.", done, "stage")
        expected = [(labels, each.counts.total) for labels, each in rows if each.counts.total is not None]
        yield _gauge("stage_rows_expected", "Rows, or hosts, that a stage has in all.", expected, "stage")
        outcomes = [
            ([*labels, outcome], count)
            for labels, each in rows
            if each.counts.counts
            for outcome, count in ((_OK, each.counts.counts[_OK]), ("rejected", each.counts.rejected))
        ]
        yield _counter("stage_outcomes", "Rows, or hosts, of a stage by outcome.", outcomes, "stage", "outcome")
        rejects = [
            ([*labels, reason], count)
            for labels, each in rows
            for reason, count in sorted(each.counts.counts.items())
            if reason != _OK
        ]
        yield _counter(
            "stage_rejects", "Rows, or hosts, of a stage that failed, by reason.", rejects, "stage", "reason"
        )
        rates = [(labels, each.counts.rate if each.seconds is None else 0.0) for labels, each in rows]
        yield _gauge("stage_rows_per_second", "The rate of a stage lately; 0 once it has ended.", rates, "stage")
        seconds = [(labels, each.lasted()) for labels, each in rows]
        yield _gauge("stage_seconds", "How long a stage has taken so far.", seconds, "stage")
        sizes = [([name, stage], size) for stage, size in self._bytes.items()]
        yield _counter("fetched_bytes", "Bytes of bodies that a stage has fetched.", sizes, "stage")

    def _end_stage(self) -> None:
        if self._now is not None and self._now.seconds is None:
            self._now.seconds = self._now.lasted()

    def _keep_writing(self) -> None:
        while not self._over.wait(self._every):
            self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except OSError as error:
            if not self._warned:
                log.warning("metrics are no longer written to %s: %s", self._path, error.strerror)
            self._warned = True


def _gauge(name: str, what: str, samples: Sequence[_Sample], *labels: str) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, what, labels=["corpus", *labels])
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, what: str, samples: Sequence[_Sample], *labels: str) -> Metric:
    """Written with the suffix `_total`."""
    family = CounterMetricFamily(_PREFIX + name, what, labels=["corpus", *labels])
    for values, value in samples:
        family.add_metric(values, value)
    return family
