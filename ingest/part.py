"""The unit of ingest work: the rows of a part are fetched, checked, resized and fingerprinted, and committed as one file."""

import asyncio
import json
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.blocklist import Blocklist, blocklist_of
from tagmill.ingest.config import IngestConfig
from tagmill.ingest.deal import normalise, rows_file, url_hash
from tagmill.ingest.decoders import Decoders
from tagmill.ingest.denied import Denied
from tagmill.ingest.fetch import Fetched, Fetcher, Lessons
from tagmill.ingest.fingerprint import holdout_order
from tagmill.ingest.images import Rejected
from tagmill.ingest.known import known_keys
from tagmill.ingest.places import COLUMN, Place
from tagmill.ingest.reads import PlaceReader, runs
from tagmill.ingest.reasons import Reason
from tagmill.ingest.robots_book import Met, open_book
from tagmill.ingest.sources import extra_schema
from tagmill.shards.index import sample_bytes
from tagmill.shards.record import Record, key_of
from tagmill.shards.store import Store

# A part's table, in this order; the source's own columns stand before `reason`. Facts are null unless reason is null. Rows
# of equal URL share their facts, and the first of them holds the picture.
PART = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),  # ordinal in the part's order: url hash, row_id; or row_id
        pa.field("url", pa.string()),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("licence", pa.string()),
        pa.field("page", pa.string()),
        pa.field("reason", pa.string()),  # null: it gave a picture
        pa.field("detail", pa.string()),
        pa.field("key", pa.string()),  # of a duplicate, which is one by its URL: the sample that it yields to
        pa.field("sha256", pa.string()),
        pa.field("pdq0", pa.int64()),
        pa.field("pdq1", pa.int64()),
        pa.field("pdq2", pa.int64()),
        pa.field("pdq3", pa.int64()),
        pa.field("pdq_quality", pa.int32()),  # 0 to 100
        pa.field("width", pa.int32()),  # of the stored picture
        pa.field("height", pa.int32()),
        pa.field("original_width", pa.int32()),  # of the upright source
        pa.field("original_height", pa.int32()),
        pa.field("jpeg_size", pa.int64()),  # bytes
        pa.field("sample_bytes", pa.int64()),  # in its tar, headers and facts included
        pa.field("holdout_order", pa.int64()),  # signed; the smallest are held out
        pa.field("http_status", pa.int32()),
        pa.field("fetched_at", pa.timestamp("ms", tz="UTC")),
        pa.field("seconds", pa.float64()),
        pa.field("host", pa.string()),
        pa.field("jpeg", pa.binary()),
    ]
)
_BEFORE_EXTRA = PART.get_field_index("reason")
ROW_GROUP = 256  # rows, and pictures, in memory while a part is written or read
OUTCOMES = ("ok", *Reason)


def part_schema(config: IngestConfig) -> pa.Schema:
    """PART with the source's own columns, whose types the input gives."""
    columns = list(PART)
    return pa.schema([*columns[:_BEFORE_EXTRA], *extra_schema(config), *columns[_BEFORE_EXTRA:]])


def attempt_file(part: int, attempt: str) -> str:
    """Where an attempt at a part lies in the store."""
    return f"parts/{part:06d}/{attempt}.parquet"


def done_file(part: int) -> str:
    """The marker that makes one attempt at a part the part."""
    return f"parts/{part:06d}/done.json"


# The rules that forbid rows, as `Denied.json`; a run pins them, so that it is resumed under no others.
DENIED = "parts/takedown.json"


@lru_cache(maxsize=1)
def denied_of(store: Store) -> Denied:
    """What this run must not take in. A worker process reads it once."""
    return Denied.parse(store.read(DENIED)) if store.exists(DENIED) else Denied()


def record_of(row: Mapping[str, Any]) -> Record:
    """The base row of an ok row of a part's table, with its extra columns."""
    return Record(
        sha256=row["sha256"],
        pdq=(row["pdq0"], row["pdq1"], row["pdq2"], row["pdq3"]),
        width=row["width"],
        height=row["height"],
        original_width=row["original_width"],
        original_height=row["original_height"],
        tags=tuple(row["tags"]),
        url=row["url"],
        licence=row["licence"],
        page=row["page"],
        extra={name: value for name, value in row.items() if name not in _OURS},
    )


_OURS = frozenset(PART.names)


@dataclass(frozen=True)
class PartSummary:
    """What came of a part; also the content of its marker."""

    part: int
    attempt: str
    rows: int
    ok: int
    reasons: dict[str, int]
    size: int  # bytes of the attempt's file

    @classmethod
    def parse(cls, data: bytes) -> Self:
        return cls(**json.loads(data))


@dataclass(frozen=True)
class PartTask:
    """All that a worker needs to make one part."""

    config: IngestConfig
    store: Store
    part: int
    schema: pa.Schema  # of `part_schema`
    concurrency: int  # requests in flight, of this part
    workers: int = 1  # processes that make parts of this run at once, and share its limits per host


@lru_cache(maxsize=1)
def lessons_of(config: IngestConfig) -> Lessons:
    """What this process learns of the web goes from one part of a run to the next."""
    return Lessons(config)


@lru_cache(maxsize=1)
def _met(config: IngestConfig) -> Met:
    """The robots.txt of hosts that redirects led to, likewise."""
    return Met(config.robots_max_age)


@lru_cache(maxsize=1)
def _decoders(config: IngestConfig) -> Decoders:
    """This process's decoders stay from one part to the next: a start costs as much as a hundred pictures."""
    return Decoders(config)


Tell = Callable[[str, int], None]  # told an outcome and its number of rows as they come


def _silent(outcome: str, num_rows: int) -> None:
    del outcome, num_rows


@dataclass(slots=True)
class _Outcome:
    """What came of one URL: the columns that all of its rows share, and where its picture lies in the scratch file."""

    columns: dict[str, Any] = field(default_factory=dict)
    start: int = 0
    size: int = 0


def run_part(task: PartTask, tell: Tell = _silent) -> PartSummary:
    """Fetches and prepares a dealt part and commits it; one that is committed already is left as it is.

    Of several that make the same part at once the first to finish wins; the others delete their file and return the
    winner's summary. Pictures wait on local disk in the order in which they come, so that a slow URL holds up no other.
    """
    store, part = task.store, task.part
    if store.exists(done_file(part)):
        return PartSummary.parse(store.read(done_file(part)))
    attempt = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix=f"part-{part:06d}-", dir=task.config.spool) as folder:
        table = Path(folder, "part.parquet")
        with Path(folder, "pictures").open("w+b") as pictures:
            outcomes = asyncio.run(_outcomes(task, _wanted(store, part), pictures, tell))
            counts = _write(task, outcomes, pictures, table)
        size = table.stat().st_size
        store.put(attempt_file(part, attempt), table, give=True)
    rows, ok = counts.total(), counts.pop("ok", 0)
    summary = PartSummary(part, attempt, rows, ok, dict(sorted(counts.items())), size)
    if store.put_new(done_file(part), json.dumps(asdict(summary)).encode()):
        return summary
    store.delete(attempt_file(part, attempt))
    return PartSummary.parse(store.read(done_file(part)))


@dataclass(slots=True)
class _Wanted:
    """What is got once: a URL in its normal form, for all rows that have it, or the bytes that one row brings."""

    url: str
    place: Place | None
    rows: int = 1


def _subject(row: Mapping[str, Any]) -> bytes | int:
    """What a row asks for. Rows of equal URL ask for one thing; those that bring bytes, each for its own."""
    subject: bytes | int = row["url_hash"] if row.get(COLUMN) is None else row["row_id"]
    return subject


def _wanted(store: Store, part: int) -> list[_Wanted]:
    """What the part's rows ask for, in the order of the first row of each."""
    found: dict[bytes | int, _Wanted] = {}
    with store.open(rows_file(part)) as file:
        parquet = pq.ParquetFile(file)
        columns = [name for name in ("row_id", "url", "url_hash", COLUMN) if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(ROW_GROUP, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                subject = _subject(row)
                if subject in found:
                    found[subject].rows += 1
                else:
                    found[subject] = _Wanted(normalise(row["url"] or ""), Place.of(row))
    return list(found.values())


async def _outcomes(task: PartTask, wanted: list[_Wanted], pictures: BinaryIO, tell: Tell) -> list[_Outcome]:
    """What came of each, in order; as many bodies are in memory as requests may be in flight, or runs of neighbours."""
    outcomes = [_Outcome() for _ in wanted]
    together = runs([each.place for each in wanted], task.config.max_bytes)
    todo = iter(together)
    denied, blocked = denied_of(task.store), blocklist_of(task.store)
    known = known_keys(task.store, task.part)

    def answered(number: int) -> dict[str, Any] | None:
        """What is known before anything is asked for."""
        each = wanted[number]
        if by := denied.url(each.url):
            return {"reason": Reason.TAKEN_DOWN, "detail": by}
        if known and each.place is None and (key := known.get(url_hash(each.url, task.config.seed))):
            return _as_known(key, denied)
        return None

    def open_yet(number: int) -> bool:
        if columns := answered(number):
            outcomes[number].columns = columns
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
                outcome = outcomes[number]
                outcome.columns, jpeg = await _columns(fetched, decoders, task.config.seed, denied, blocked)
                if jpeg is not None:
                    outcome.start, outcome.size = pictures.tell(), len(jpeg)
                    pictures.write(jpeg)
                tell(outcome.columns["reason"] or "ok", wanted[number].rows)

    share = min(task.concurrency, len(together))
    book = open_book(task.store, task.part, _met(task.config)) if task.config.honour_robots else None
    with _decoders(task.config) as decoders, PlaceReader(task.config.max_bytes, max(1, share)) as reader:
        async with Fetcher(task.config, task.workers, lessons_of(task.config), book) as fetcher:
            await _all(work(fetcher, reader, decoders) for _ in range(share))
    return outcomes


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Waits for all; where one fails none goes on."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _as_known(key: str, denied: Denied) -> dict[str, Any]:
    """The columns of a URL whose picture is in the corpus that is extended."""
    if by := denied.exactly(key, ""):
        return {"reason": Reason.TAKEN_DOWN, "detail": by}
    return {"reason": Reason.DUPLICATE, "key": key}


async def _columns(
    fetched: Fetched, decoders: Decoders, seed: int, denied: Denied, blocked: Blocklist
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
        return {**columns, "reason": made.reason, "detail": made.detail}, None
    prints = made.prints
    if by := denied.picture(prints.sha256, prints.pdq):
        return {**columns, "reason": Reason.TAKEN_DOWN, "detail": by}, None
    if by := blocked.blocks(fetched.body, prints.sha256, prints.pdq):
        return {**columns, "reason": Reason.BLOCKED, "detail": by}, None
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


def _write(task: PartTask, outcomes: list[_Outcome], pictures: BinaryIO, path: Path) -> Counter[str]:
    """Joins rows and outcomes into the part's table, a row group at a time; returns rows by outcome."""
    counts: Counter[str] = Counter()
    numbers: dict[bytes | int, int] = {}
    place = 0
    plain = [name for name in task.schema.names if name != "jpeg"]  # pictures compress no further and never repeat
    compression = {**dict.fromkeys(plain, "zstd"), "jpeg": "none"}
    with (
        task.store.open(rows_file(task.part)) as file,
        pq.ParquetWriter(
            path, task.schema, compression=compression, use_dictionary=plain, write_statistics=plain
        ) as writer,
    ):
        for batch in pq.ParquetFile(file).iter_batches(ROW_GROUP, use_threads=False):
            lines = []
            for row in batch.to_pylist():
                first = _subject(row) not in numbers
                outcome = outcomes[numbers.setdefault(_subject(row), len(numbers))]
                line = {**row, **outcome.columns, "part": task.part, "place": place}
                del line["url_hash"]
                line.pop(COLUMN, None)
                if line["reason"] is None:
                    line["sample_bytes"] = sample_bytes(line["jpeg_size"], len(record_of(line).json()))
                    if first:
                        pictures.seek(outcome.start)
                        line["jpeg"] = pictures.read(outcome.size)
                counts[line["reason"] or "ok"] += 1
                lines.append(line)
                place += 1
            writer.write_table(pa.Table.from_pylist(lines, task.schema), row_group_size=ROW_GROUP)
    return counts
