"""Progress as a file of metrics for node_exporter's textfile collector: the Prometheus text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/. A stage is a label; hosts are none, because every label that
was ever seen stays in a Prometheus for months.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.progress.progress import Progress, ProgressCounts
from tagmill.shards.errors import ConfigError

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two writes
_PREFIX = "tagmill_ingest_"
_OK = "ok"


@dataclass
class _Stage:
    """A stage that has begun, and what came of it."""

    counts: ProgressCounts
    seconds: float | None = None  # once it has ended

    def lasted(self) -> float:
        return time.monotonic() - self.counts.begun if self.seconds is None else self.seconds


@dataclass
class _Family:
    """The samples of one metric."""

    name: str
    kind: str
    what: str
    samples: Sequence[tuple[Mapping[str, str], float]]

    def lines(self) -> Iterator[str]:
        yield f"# HELP {_PREFIX}{self.name} {_escaped(self.what)}"
        yield f"# TYPE {_PREFIX}{self.name} {self.kind}"
        for labels, value in self.samples:
            inside = ",".join(f'{name}="{_escaped(text, quotes=True)}"' for name, text in labels.items())
            yield f"{_PREFIX}{self.name}{f'{{{inside}}}' if inside else ''} {_number(value)}"


class PrometheusProgress:
    """Passes progress on to another, and writes it to a file every few seconds and at the end, by one rename.

    Used as a context manager. Raises ConfigError where the file cannot be written at first; later that is a warning, because
    a full disk of metrics must not cost a run.
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

    def fetched(self, traffic: FetchStats) -> None:
        with self._lock:
            if self._now is not None:
                self._bytes[self._now.counts.name] = traffic.size
        self._inner.fetched(traffic)

    def write(self) -> None:
        """Writes the file now. Raises OSError."""
        with self._lock:
            text = self.text()
        # The collector reads what ends in .prom, whoever runs it: so neither the name nor the mode of a temporary file.
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def text(self) -> str:
        """All metrics."""
        return "".join(f"{line}\n" for family in self._families() for line in family.lines())

    def _families(self) -> Iterator[_Family]:
        corpus = {"corpus": self._name}
        stages = [({**corpus, "stage": name}, stage) for name, stage in self._stages.items()]
        done = [(labels, float(stage.counts.done)) for labels, stage in stages]
        expected = [(labels, float(stage.counts.total)) for labels, stage in stages if stage.counts.total is not None]
        outcomes = [
            ({**labels, "outcome": name}, float(count))
            for labels, stage in stages
            if stage.counts.counts
            for name, count in ((_OK, stage.counts.counts[_OK]), ("rejected", stage.counts.rejected))
        ]
        rejects = [
            ({**labels, "reason": name}, float(count))
            for labels, stage in stages
            for name, count in sorted(stage.counts.counts.items())
            if name != _OK
        ]
        rates = [(labels, stage.counts.rate if stage.seconds is None else 0.0) for labels, stage in stages]
        seconds = [(labels, stage.lasted()) for labels, stage in stages]
        sizes = [({**corpus, "stage": name}, float(size)) for name, size in self._bytes.items()]
        info = {**corpus, "version": version("tagmill")}
        yield _Family("build_info", "gauge", "Which tagmill is running; always 1.", [(info, 1.0)])
        yield _Family("running", "gauge", "1 while the run is going on.", [(corpus, float(self._ended is None))])
        if self._ended is not None:
            what = "Whether the run ended with a corpus (1) or with an error (0)."
            yield _Family("success", "gauge", what, [(corpus, float(self._ended))])
        yield _Family(
            "updated_timestamp_seconds", "gauge", "When this was written, Unix time.", [(corpus, time.time())]
        )
        yield _Family("stage_rows_total", "counter", "Rows, or hosts, that a stage is done with.", done)
        yield _Family("stage_rows_expected", "gauge", "Rows, or hosts, that a stage has in all.", expected)
        yield _Family("stage_outcomes_total", "counter", "Rows, or hosts, of a stage by what came of them.", outcomes)
        yield _Family("stage_rejects_total", "counter", "Rows, or hosts, of a stage that failed, by reason.", rejects)
        yield _Family("stage_rows_per_second", "gauge", "The rate of a stage lately; 0 once it has ended.", rates)
        yield _Family("stage_seconds", "gauge", "How long a stage has taken so far.", seconds)
        yield _Family("fetched_bytes_total", "counter", "Bytes of bodies that a stage has fetched.", sizes)

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


def _escaped(text: str, *, quotes: bool = False) -> str:
    """Text of a HELP line, or of a label's value."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
