"""Makes a part: fetches, checks, resizes and fingerprints the rows of a partition, and commits them as one attempt."""

import asyncio
import dataclasses
import json
import secrets
import tempfile
from collections import Counter
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
from tagmill.ingest.filters.listed_digests import MD5, md5_of
from tagmill.ingest.filters.pinned import Forbidden, PinnedRules, forbidden_of
from tagmill.ingest.http.urls import normalise, url_hash
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.images.fingerprint import holdout_order
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.layout import attempt_file, done_file, facts_file, rows_file
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.parts.known_urls import known_keys
from tagmill.ingest.parts.local_rows import local_rows
from tagmill.ingest.parts.ranged_reads import LocationReader, runs
from tagmill.ingest.parts.review import known_columns, refusal, review
from tagmill.ingest.parts.row_groups import StoredTable
from tagmill.ingest.parts.table import ROW_GROUP, PartTable, PartWriter, request_id
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.locations import BYTES_COLUMN, ByteRange
from tagmill.ingest.statements.in_picture import forbidding_statement
from tagmill.ingest.workers.worker import ReportRows, no_report
from tagmill.shards.formats.record import key_of
from tagmill.shards.storage.store import Store


@dataclass(frozen=True)
class PartSummary:
    """What came of a part; also the content of its marker, `done_file`."""

    part: int
    attempt: str
    rows: int
    ok: int
    reasons: dict[str, int]
    size: int  # bytes of its `attempt_file`
    traffic: FetchStats = field(default_factory=FetchStats)  # what this attempt fetched, and its slowest hosts
    rules: PinnedRules = field(default_factory=PinnedRules)  # under which it was made, or last reviewed
    facts_size: int = 0  # bytes of its `facts_file`
    compared: int = 0  # rows whose digest in the list was compared with that of their image
    altered: int = 0  # rows with an image that is another one than the list's, if these are kept

    def json(self) -> bytes:
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return json.dumps(
            fields | {"traffic": self.traffic.as_json(), "rules": dataclasses.asdict(self.rules)}
        ).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads what `json` returns, also of earlier versions."""
        fields = json.loads(data)
        rules = PinnedRules(**fields.get("rules", {}))
        return cls(**fields | {"traffic": FetchStats.of(fields.get("traffic", {})), "rules": rules})


@dataclass(frozen=True)
class PartTask:
    """All that a worker needs to make one part."""

    config: IngestConfig
    store: Store
    part: int
    schema: pa.Schema  # of `part_schema`
    concurrency: int  # requests in flight for this part
    workers: int = 1  # processes that make parts of this run at once, and share its limits per host
    rules: PinnedRules = field(default_factory=PinnedRules)  # digests of the takedown rules and blocklists


@lru_cache(maxsize=1)
def fetch_state_of(config: IngestConfig) -> FetchState:
    """Returns what this process knows about hosts; it is kept from one part of a run to the next."""
    return FetchState(config)


@lru_cache(maxsize=1)
def _redirect_cache(config: IngestConfig) -> RedirectCache:
    """Returns the robots.txt of hosts that redirects led to; kept likewise."""
    return RedirectCache(config.robots_max_age)


@lru_cache(maxsize=1)
def _decoders(config: IngestConfig) -> Decoders:
    """Returns this process's decoders; kept likewise, because a start costs as much as a hundred images."""
    return Decoders(config, config.max_bytes)


def run_part(task: PartTask, report: ReportRows = no_report) -> PartSummary:
    """Makes and commits a part, and returns its summary. A part that is committed under the same rules is kept.

    A part under other rules is reviewed (review.py). It is fetched again only where entries by md5 are new, because
    parts do not keep the md5 of their images. Where several workers make the same part at once, the first to finish
    wins; the others delete their files and return the winner's summary. Images wait on local disk in the order of
    arrival, so that a slow URL does not delay others.
    """
    while True:
        summary = _committed(task) or _attempt(task, report)
        if summary.rules == task.rules:
            return summary
        if summary.rules.md5 == task.rules.md5 or not summary.ok:
            return _review(task, summary, report)
        task.store.delete(done_file(task.part))
        _delete(task.store, task.part, summary.attempt)


def _committed(task: PartTask) -> PartSummary | None:
    marker = read_if_there(task.store, done_file(task.part))
    return None if marker is None else PartSummary.parse(marker)


def _review(task: PartTask, found: PartSummary, report: ReportRows) -> PartSummary:
    """Applies the task's rules to a part that was made under others.

    Where they forbid rows, a new attempt without them replaces the old one.
    """
    store, part, attempt = task.store, task.part, secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix=f"part-{part:06d}-", dir=task.config.spool) as folder:
        pictures = StoredTable(attempt_file(part, found.attempt), found.size)
        facts, forbidden = facts_file(part, found.attempt), forbidden_of(store, task.rules)
        reviewed = review(store, pictures, facts, Path(folder), forbidden)
        summary = dataclasses.replace(found, rules=task.rules)
        if reviewed is not None:
            summary = _put(store, dataclasses.replace(summary, attempt=attempt), *reviewed)
    store.put(done_file(part), summary.json())
    if reviewed is not None:
        _delete(store, part, found.attempt)
    for outcome, num_rows in {"ok": summary.ok, **summary.reasons}.items():
        report(outcome, num_rows)
    return summary


def _attempt(task: PartTask, report: ReportRows) -> PartSummary:
    """Makes the part. Returns the winner's summary where another worker was faster."""
    store, part = task.store, task.part
    attempt = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix=f"part-{part:06d}-", dir=task.config.spool) as folder:
        with local_rows(store, part, folder) as rows:
            requests = _requests(rows, part)
            with PartTable(Path(folder), part, task.schema, len(requests)) as table:
                traffic = asyncio.run(_make(task, rows, requests, table, report))
        summary = PartSummary(
            part, attempt, table.counts.total(), 0, {}, 0, traffic, task.rules, compared=table.compared
        )
        summary = _put(store, summary, table.files, table.counts)
    if store.put_new(done_file(part), summary.json()):
        return summary
    _delete(store, part, attempt)
    return PartSummary.parse(store.read(done_file(part)))


def _put(store: Store, summary: PartSummary, files: PartWriter, counts: Counter[str]) -> PartSummary:
    """Puts the files of an attempt, which does not count before its marker is put; returns its summary."""
    outcomes = Counter(counts)
    size, facts_size = files.pictures.stat().st_size, files.facts.stat().st_size
    store.put(facts_file(summary.part, summary.attempt), files.facts, give=True)
    store.put(attempt_file(summary.part, summary.attempt), files.pictures, give=True)
    ok, reasons = outcomes.pop("ok", 0), dict(sorted(outcomes.items()))
    found = dataclasses.replace(summary, ok=ok, reasons=reasons, altered=files.altered)
    return dataclasses.replace(found, size=size, facts_size=facts_size)


def _delete(store: Store, part: int, attempt: str) -> None:
    store.delete(attempt_file(part, attempt))
    store.delete(facts_file(part, attempt))


@dataclass(slots=True)
class _Request:
    """What is read once: a normalised URL, for all rows that have it, or the bytes of one row of a tar or folder."""

    url: str
    location: ByteRange | None
    rows: int = 1


def _requests(local: Store, part: int) -> list[_Request]:
    """Returns what the rows of a partition need, in the order of the first row of each."""
    found: dict[bytes | int, _Request] = {}
    with local.open(rows_file(part)) as file:
        parquet = pq.ParquetFile(file)
        columns = [name for name in ("row_id", "url", "url_hash", BYTES_COLUMN) if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(ROW_GROUP, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                identity = request_id(row)
                if identity in found:
                    found[identity].rows += 1
                else:
                    found[identity] = _Request(normalise(row["url"] or ""), ByteRange.of(row))
    return list(found.values())


async def _make(
    task: PartTask, local: Store, requests: list[_Request], table: PartTable, report: ReportRows
) -> FetchStats:
    """Fetches and decodes all requests, writes the table of the rows in `local`, and returns what was fetched.

    At most one body, or one run of neighbours in a tar, is in memory per request in flight.
    """
    together = runs([each.location for each in requests], task.config.max_bytes)
    todo = iter(together)
    forbidden = forbidden_of(task.store, task.rules)
    known = known_keys(task.store, task.part) if task.config.extend else {}

    def without_request(number: int) -> dict[str, Any] | None:
        """Returns the columns of a URL that is not fetched: it is taken down, or in the corpus already."""
        each = requests[number]
        if by := forbidden.denied.url(each.url):
            return {"reason": Reason.TAKEN_DOWN, "detail": by}
        if known and each.location is None and (key := known.get(url_hash(each.url, task.config.seed))):
            return known_columns(key, forbidden.denied)
        return None

    def is_needed(number: int) -> bool:
        if columns := without_request(number):
            table.arrived(number, columns)
            report(columns["reason"], requests[number].rows)
        return not columns

    async def work(fetcher: Fetcher, reader: LocationReader, decoders: Decoders) -> None:
        for run in todo:
            numbers = [number for number in run if is_needed(number)]
            locations = [location for number in numbers if (location := requests[number].location) is not None]
            urls = [requests[number].url for number in numbers if requests[number].location is None]
            got = [await fetcher.fetch(url) for url in urls]  # a run is one URL, or locations only
            got += await reader.read(locations) if locations else []
            for number, fetched in zip(numbers, got, strict=True):
                columns, jpeg = await columns_of(fetched, decoders, task.config, forbidden)
                table.arrived(number, columns, jpeg)
                report(columns["reason"] or "ok", requests[number].rows)

    share = min(task.concurrency, len(together))
    robots = (
        open_robots_cache(task.store, task.part, _redirect_cache(task.config)) if task.config.honour_robots else None
    )
    with (
        local.open(rows_file(task.part)) as rows,
        _decoders(task.config) as decoders,
        LocationReader(task.config.max_bytes, max(1, share)) as reader,
    ):
        async with Fetcher(task.config, task.workers, fetch_state_of(task.config), robots) as fetcher:
            await run_all([table.write(rows), *(work(fetcher, reader, decoders) for _ in range(share))])
        return fetcher.latency.traffic()


async def run_all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Waits for all; cancels the others where one fails."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stated(config: IngestConfig) -> frozenset[Reason]:
    """Returns which statements of pictures are obeyed, by their reasons."""
    obeyed = {Reason.IPTC_RESERVED: config.honour_iptc, Reason.C2PA_RESERVED: config.honour_c2pa}
    return frozenset(reason for reason, is_obeyed in obeyed.items() if is_obeyed)


async def columns_of(
    fetched: Fetched, decoders: Decoders, config: IngestConfig, forbidden: Forbidden
) -> tuple[dict[str, Any], bytes | None]:
    """Decodes and checks a body; returns the columns that rows of the URL share, and the JPEG to store (None:
    rejected). With `--md5-column` the columns have the MD5 of the body."""
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
        details = filter(None, (made.detail, fetched.encoding))
        return {**columns, "reason": made.reason, "detail": ", ".join(details) or None}, None
    prints = made.prints
    if refused := refusal(forbidden, fetched.body, prints.sha256, prints.pdq):
        return columns | refused, None
    if stated := forbidding_statement(fetched.body, _stated(config)):
        return {**columns, "reason": stated[0], "detail": stated[1]}, None
    if config.md5_column is not None:
        columns[MD5] = md5_of(fetched.body)
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
        "holdout_order": holdout_order(prints.sha256, config.seed),
    }
    return columns, made.jpeg
