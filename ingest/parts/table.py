"""A part's table: its rows joined with what came of their URLs, written while others are still being fetched."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.sources.locations import BYTES_COLUMN
from tagmill.ingest.sources.rows import extra_schema
from tagmill.shards.formats.record import Record
from tagmill.shards.formats.shard_index import sample_bytes

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
DECIDED = tuple(PART.names[_BEFORE_EXTRA:])  # by what came of a row
ROW_GROUP = 256  # rows, and pictures, in memory while a part is written or read


def part_schema(config: SourceOptions) -> pa.Schema:
    """PART with the source's own columns, whose types the input gives."""
    columns = list(PART)
    return pa.schema([*columns[:_BEFORE_EXTRA], *extra_schema(config), *columns[_BEFORE_EXTRA:]])


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


def subject(row: Mapping[str, Any]) -> bytes | int:
    """What a row asks for. Rows of equal URL ask for one thing; those that bring bytes, each for its own."""
    found: bytes | int = row["url_hash"] if row.get(BYTES_COLUMN) is None else row["row_id"]
    return found


def part_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Writes a part's file."""
    plain = [name for name in schema.names if name != "jpeg"]  # pictures compress no further and never repeat
    compression = {**dict.fromkeys(plain, "zstd"), "jpeg": "none"}
    return pq.ParquetWriter(path, schema, compression=compression, use_dictionary=plain, write_statistics=plain)


@dataclass(slots=True)
class _Outcome:
    """What came of one URL: the columns that all of its rows share, and where its picture lies in the scratch file."""

    columns: dict[str, Any] = field(default_factory=dict)  # empty: nothing yet
    start: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that are written at once, for each the number of its URL, and whether it is the first row of that."""

    rows: list[dict[str, Any]]
    numbers: list[int]
    first: list[bool]


class PartTable:
    """The table of a part, in a file. URLs are numbered in the order of their first rows, and `arrived` says what came of
    each, in any order; `write`, which runs beside, writes each row group when all of its URLs are there. Pictures wait in a
    scratch file: in memory are a row group, and the outcomes without them.
    """

    def __init__(self, path: Path, part: int, schema: pa.Schema, num_urls: int) -> None:
        self.counts: Counter[str] = Counter()  # rows by outcome, "ok" or a reason, of what is written
        self._part, self._schema = part, schema
        self._outcomes = [_Outcome() for _ in range(num_urls)]
        self._together = 0  # outcomes that are there, from the first on without a gap
        self._awaited, self._enough = 0, asyncio.Event()
        self._files = ExitStack()
        self._pictures = self._files.enter_context(path.with_suffix(".pictures").open("w+b"))
        self._writer = self._files.enter_context(part_writer(path, schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def arrived(self, number: int, columns: dict[str, Any], jpeg: bytes | None = None) -> None:
        """What came of a URL; the picture if its reason is null."""
        outcome = self._outcomes[number]
        if jpeg is not None:
            outcome.start, outcome.size = self._pictures.tell(), len(jpeg)
            self._pictures.write(jpeg)
        outcome.columns = columns
        while self._together < len(self._outcomes) and self._outcomes[self._together].columns:
            self._together += 1
        if self._together >= self._awaited:
            self._enough.set()

    async def write(self, rows: BinaryIO) -> None:
        """Writes the rows of a dealt part, all of them when it ends; in a thread, so that fetching goes on."""
        call, groups = asyncio.get_running_loop().run_in_executor, self._groups(rows)
        with ThreadPoolExecutor(1, thread_name_prefix="tagmill-part") as thread:
            while (group := await call(thread, next, groups, None)) is not None:
                await self._first(1 + max(group.numbers))
                self._pictures.flush()
                await call(thread, self._add, group)

    async def _first(self, count: int) -> None:
        """Waits until so many outcomes, the first ones, are there."""
        self._awaited = count
        if self._together < count:
            self._enough.clear()
            await self._enough.wait()

    @staticmethod
    def _groups(rows: BinaryIO) -> Iterator[_Group]:
        numbers: dict[bytes | int, int] = {}
        for batch in pq.ParquetFile(rows).iter_batches(ROW_GROUP, use_threads=False):
            group = _Group(batch.to_pylist(), [], [])
            for row in group.rows:
                group.first.append(subject(row) not in numbers)
                group.numbers.append(numbers.setdefault(subject(row), len(numbers)))
            yield group

    def _add(self, group: _Group) -> None:
        lines: list[dict[str, Any]] = []
        place = self.counts.total()
        for row, number, first in zip(group.rows, group.numbers, group.first, strict=True):
            outcome = self._outcomes[number]
            line = {**row, **outcome.columns, "part": self._part, "place": place + len(lines)}
            del line["url_hash"]
            line.pop(BYTES_COLUMN, None)
            if line["reason"] is None:
                line["sample_bytes"] = sample_bytes(line["jpeg_size"], len(record_of(line).json()))
                if first:
                    line["jpeg"] = os.pread(self._pictures.fileno(), outcome.size, outcome.start)
            lines.append(line)
        self._writer.write_table(pa.Table.from_pylist(lines, self._schema), row_group_size=ROW_GROUP)
        self.counts.update(line["reason"] or "ok" for line in lines)
