"""The unit of ingest work: the rows of a part are fetched, checked, resized and fingerprinted, and committed as one file."""

import asyncio
import dataclasses
import json
import secrets
import tempfile
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.fetch.fetcher import Fetched, Fetcher, FetchState
from tagmill.ingest.fetch.robots_cache import RedirectCache, open_robots_cache
from tagmill.ingest.filters.pinned import Forbidden, PinnedRules, forbidden_of
from tagmill.ingest.http.urls import normalise, url_hash
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.images.fingerprint import holdout_order
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.layout import attempt_file, done_file, rows_file
from tagmill.ingest.parts.known_urls import known_keys
from tagmill.ingest.parts.ranged_reads import PlaceReader, runs
from tagmill.ingest.parts.review import as_known, refusal, review
from tagmill.ingest.parts.table import ROW_GROUP, PartTable, subject
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.locations import BYTES_COLUMN, ByteRange
from tagmill.ingest.workers.shared_counters import Tell, silent
from tagmill.shards.formats.record import key_of
from tagmill.shards.storage.store import Store


@dataclass(frozen=True)
class PartSummary:
    """What came of a part; also the content of its marker."""

    part: int
    attempt: str
    rows: int
    ok: int
    reasons: dict[str, int]
    size: int  # bytes of the attempt's file
    traffic: FetchStats = field(default_factory=FetchStats)  # what this attempt has fetched, and its slowest hosts
    rules: PinnedRules = field(default_factory=PinnedRules)  # under which it was made, or looked at again

    def json(self) -> bytes:
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return json.dumps(fields | {"traffic": self.traffic.told(), "rules": dataclasses.asdict(self.rules)}).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads `json`'s bytes, of earlier versions too."""
        told = json.loads(data)
        rules = PinnedRules(**told.get("rules", {}))
        return cls(**told | {"traffic": FetchStats.of(told.get("traffic", {})), "rules": rules})


@dataclass(frozen=True)
class PartTask:
    """All that a worker needs to make one part."""

    config: IngestConfig
    store: Store
    part: int
    schema: pa.Schema  # of `part_schema`
    concurrency: int  # requests in flight, of this part
    workers: int = 1  # processes that make parts of this run at once, and share its limits per host
    rules: PinnedRules = field(default_factory=PinnedRules)  # of what it must not take in


@lru_cache(maxsize=1)
def lessons_of(config: IngestConfig) -> FetchState:
    """What this process learns of the web goes from one part of a run to the next."""
    return FetchState(config)


@lru_cache(maxsize=1)
def _met(config: IngestConfig) -> RedirectCache:
    """The robots.txt of hosts that redirects led to, likewise."""
    return RedirectCache(config.robots_max_age)


@lru_cache(maxsize=1)
def _decoders(config: IngestConfig) -> Decoders:
    """This process's decoders stay from one part to the next: a start costs as much as a hundred pictures."""
    return Decoders(config, config.max_bytes)


def run_part(task: PartTask, tell: Tell = silent) -> PartSummary:
    """Fetches and prepares a dealt part and commits it; one that is committed under the same rules is left as it is.

    One that was committed under other rules is looked at again (`part_review`), and fetched again only where entries by md5
    are new, as no md5 is kept of its pictures. Of several that make the same part at once the first to finish wins; the
    others delete their file and return the winner's summary. Pictures wait on local disk in the order in which they come, so
    that a slow URL holds up no other.
    """
    while True:
        found = _committed(task) or _attempted(task, tell)
        if found.rules == task.rules:
            return found
        if found.rules.md5 == task.rules.md5 or not found.ok:
            return _reviewed(task, found, tell)
        task.store.delete(done_file(task.part))
        task.store.delete(attempt_file(task.part, found.attempt))


def _committed(task: PartTask) -> PartSummary | None:
    name = done_file(task.part)
    return PartSummary.parse(task.store.read(name)) if task.store.exists(name) else None


def _reviewed(task: PartTask, found: PartSummary, tell: Tell) -> PartSummary:
    """The part under the task's rules. What must go is taken out of a new file, which takes the place of the old one."""
    store, part, attempt = task.store, task.part, secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix=f"part-{part:06d}-", dir=task.config.spool) as folder:
        path = Path(folder, "part.parquet")
        counts = review(store, attempt_file(part, found.attempt), path, forbidden_of(store, task.rules))
        if counts is None:
            attempt, size = found.attempt, found.size
        else:
            size = path.stat().st_size
            store.put(attempt_file(part, attempt), path, give=True)
    ok, reasons = found.ok, found.reasons
    if counts is not None:
        ok, reasons = counts.pop("ok", 0), dict(sorted(counts.items()))
    summary = PartSummary(part, attempt, found.rows, ok, reasons, size, found.traffic, task.rules)
    store.put(done_file(part), summary.json())
    if attempt != found.attempt:
        store.delete(attempt_file(part, found.attempt))
    for outcome, num_rows in {"ok": ok, **reasons}.items():
        tell(outcome, num_rows)
    return summary


def _attempted(task: PartTask, tell: Tell) -> PartSummary:
    """Makes the part; the winner's summary, where another was faster."""
    store, part = task.store, task.part
    attempt = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix=f"part-{part:06d}-", dir=task.config.spool) as folder:
        path, wanted = Path(folder, "part.parquet"), _wanted(store, part)
        with PartTable(path, part, task.schema, len(wanted)) as table:
            traffic = asyncio.run(_make(task, wanted, table, tell))
        size = path.stat().st_size
        store.put(attempt_file(part, attempt), path, give=True)
    rows, ok = table.counts.total(), table.counts.pop("ok", 0)
    summary = PartSummary(part, attempt, rows, ok, dict(sorted(table.counts.items())), size, traffic, task.rules)
    if store.put_new(done_file(part), summary.json()):
        return summary
    store.delete(attempt_file(part, attempt))
    return PartSummary.parse(store.read(done_file(part)))


@dataclass(slots=True)
class _Wanted:
    """What is got once: a URL in its normal form, for all rows that have it, or the bytes that one row brings."""

    url: str
    place: ByteRange | None
    rows: int = 1


def _wanted(store: Store, part: int) -> list[_Wanted]:
    """What the part's rows ask for, in the order of the first row of each."""
    found: dict[bytes | int, _Wanted] = {}
    with store.open(rows_file(part)) as file:
        parquet = pq.ParquetFile(file)
        columns = [name for name in ("row_id", "url", "url_hash", BYTES_COLUMN) if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(ROW_GROUP, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                asked = subject(row)
                if asked in found:
                    found[asked].rows += 1
                else:
                    found[asked] = _Wanted(normalise(row["url"] or ""), ByteRange.of(row))
    return list(found.values())


async def _make(task: PartTask, wanted: list[_Wanted], table: PartTable, tell: Tell) -> FetchStats:
    """Gets all and writes it; what was fetched. As many bodies are in memory as requests may be in flight, or runs of
    neighbours."""
    together = runs([each.place for each in wanted], task.config.max_bytes)
    todo = iter(together)
    forbidden = forbidden_of(task.store, task.rules)
    known = known_keys(task.store, task.part)

    def answered(number: int) -> dict[str, Any] | None:
        """What is known before anything is asked for."""
        each = wanted[number]
        if by := forbidden.denied.url(each.url):
            return {"reason": Reason.TAKEN_DOWN, "detail": by}
        if known and each.place is None and (key := known.get(url_hash(each.url, task.config.seed))):
            return as_known(key, forbidden.denied)
        return None

    def open_yet(number: int) -> bool:
        if columns := answered(number):
            table.arrived(number, columns)
            tell(columns["reason"], wanted[number].rows)
        return not columns

    async def work(fetcher: Fetcher, reader: PlaceReader, decoders: Decoders) -> None:
        for run in todo:
            numbers = [number for number in run if open_yet(number)]
            places = [place for number in numbers if (place := wanted[number].place) is not None]
            urls = [wanted[number].url for number in numbers if wanted[number].place is None]
            got = [await fetcher.fetch(url) for url in urls]  # a run has one URL, or places alone
            got += await reader.read(places) if places else []
            for number, fetched in zip(numbers, got, strict=True):
                columns, jpeg = await _columns(fetched, decoders, task.config.seed, forbidden)
                table.arrived(number, columns, jpeg)
                tell(columns["reason"] or "ok", wanted[number].rows)

    share = min(task.concurrency, len(together))
    book = open_robots_cache(task.store, task.part, _met(task.config)) if task.config.honour_robots else None
    with (
        task.store.open(rows_file(task.part)) as rows,
        _decoders(task.config) as decoders,
        PlaceReader(task.config.max_bytes, max(1, share)) as reader,
    ):
        async with Fetcher(task.config, task.workers, lessons_of(task.config), book) as fetcher:
            await _all([table.write(rows), *(work(fetcher, reader, decoders) for _ in range(share))])
        return fetcher.latency.traffic()


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Waits for all; where one fails none goes on."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _columns(
    fetched: Fetched, decoders: Decoders, seed: int, forbidden: Forbidden
) -> tuple[dict[str, Any], bytes | None]:
    """The columns that a URL decides, and the picture to store."""
    columns: dict[str, Any] = {
        "reason": fetched.reason,
        "detail": fetched.detail,
        "http_status": fetched.http_status,
        "fetched_at": fetched.fetched_at,
        "seconds": fetched.seconds,
        "host": fetched.host,
    }
    if fetched.body is None:
        return columns, None
    made = await decoders.decode(fetched.body)
    if isinstance(made, Rejected):
        told = filter(None, (made.detail, fetched.encoding))
        return {**columns, "reason": made.reason, "detail": ", ".join(told) or None}, None
    prints = made.prints
    if refused := refusal(forbidden, fetched.body, prints.sha256, prints.pdq):
        return columns | refused, None
    columns |= {f"pdq{i}": word for i, word in enumerate(prints.pdq)}
    columns |= {
        "key": key_of(prints.sha256),
        "sha256": prints.sha256,
        "pdq_quality": prints.pdq_quality,
        "width": made.width,
        "height": made.height,
        "original_width": made.original_width,
        "original_height": made.original_height,
        "jpeg_size": len(made.jpeg),
        "holdout_order": holdout_order(prints.sha256, seed),
    }
    return columns, made.jpeg
