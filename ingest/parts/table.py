"""The table of a part: its rows joined with what came of their URLs, written while other URLs are still being fetched.

It is two files: all columns with the JPEGs, in small row groups, and beside it the columns that set work needs.
"""

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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.filters.listed_digests import ALTERED, LISTED_FIELDS, decided
from tagmill.ingest.sources.locations import BYTES_COLUMN
from tagmill.ingest.sources.rows import extra_schema
from tagmill.shards.formats.record import Record
from tagmill.shards.formats.shard_index import sample_bytes

# The columns of a part, in this order; the source's own columns are inserted before `reason`. Facts are null unless
# reason is null. Rows with equal URLs have the same facts, and the first of them has the JPEG.
PART = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),  # ordinal in the part's order: url hash, row_id; or row_id
        pa.field("url", pa.string()),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("licence", pa.string()),
        pa.field("page", pa.string()),
        pa.field("reason", pa.string()),  # null: there is an image
        pa.field("detail", pa.string()),
        pa.field("key", pa.string()),  # where reason is `duplicate` (by URL): the sample that has the image
        pa.field("sha256", pa.string()),
        pa.field("pdq0", pa.int64()),
        pa.field("pdq1", pa.int64()),
        pa.field("pdq2", pa.int64()),
        pa.field("pdq3", pa.int64()),
        pa.field("pdq_quality", pa.int32()),  # 0 to 100
        pa.field("width", pa.int32()),  # of the stored JPEG
        pa.field("height", pa.int32()),
        pa.field("original_width", pa.int32()),  # of the source, upright
        pa.field("original_height", pa.int32()),
        pa.field("jpeg_size", pa.int64()),  # bytes
        pa.field("sample_bytes", pa.int64()),  # in its tar, with headers and facts
        pa.field("holdout_order", pa.int64()),  # signed; rows with the smallest are held out
        pa.field("http_status", pa.int32()),
        pa.field("fetched_at", pa.timestamp("ms", tz="UTC")),
        pa.field("seconds", pa.float64()),
        pa.field("host", pa.string()),
        pa.field("jpeg", pa.binary()),
    ]
)
# The columns of a part that set work reads: never an image.
PART_FACTS = pa.schema(
    [
        PART.field(name)
        for name in (
            *("row_id", "part", "place", "url", "tags", "reason", "key", "pdq0", "pdq1", "pdq2", "pdq3", "pdq_quality"),
            *("original_width", "original_height", "sample_bytes", "holdout_order"),
        )
    ]
)
_REPEATING = ["part", "tags.list.element", "reason", "pdq_quality", "original_width", "original_height"]
_BEFORE_EXTRA = PART.get_field_index("reason")
DECIDED = tuple(PART.names[_BEFORE_EXTRA:])  # columns that fetching and decoding decide
ROW_GROUP = 256  # rows, with their JPEGs, in memory while a part is written or read


def part_schema(config: SourceOptions) -> pa.Schema:
    """Returns PART with the source's own columns, which have the types of the input."""
    columns = list(PART)
    return pa.schema([*columns[:_BEFORE_EXTRA], *extra_schema(config), *columns[_BEFORE_EXTRA:]])


def record_of(row: Mapping[str, Any]) -> Record:
    """Returns the record of an ok row, with the source's own columns."""
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
# Columns that rows have only until they are fetched.
BEFORE_FETCH = ("url_hash", BYTES_COLUMN, *(field.name for field in LISTED_FIELDS.values()))


def request_id(row: Mapping[str, Any]) -> bytes | int:
    """Identifies what a row needs: the same for rows of equal URL; of its own for a row from a tar or folder."""
    found: bytes | int = row["url_hash"] if row.get(BYTES_COLUMN) is None else row["row_id"]
    return found


def pictures_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Opens a file of rows with their JPEGs for writing."""
    plain = [name for name in schema.names if name != "jpeg"]  # JPEGs neither compress nor repeat
    compression = {**dict.fromkeys(plain, "zstd"), "jpeg": "none"}
    return pq.ParquetWriter(path, schema, compression=compression, use_dictionary=plain, write_statistics=plain)


class PartWriter:
    """Writes the files of a part: the rows with their JPEGs to `pictures`, their facts (PART_FACTS) to `facts`.

    The facts are one row group, written at the end: memory holds those of the whole part, and of no image.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.altered = 0  # rows with an image that is another one than the list's
        self.pictures, self.facts = folder / "part.parquet", folder / "part.facts.parquet"
        self._writer = pictures_writer(self.pictures, schema)
        self._held = [PART_FACTS.empty_table()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if kind is None:
            write_facts(self.facts, pa.concat_tables(self._held))

    def write(self, rows: pa.Table) -> None:
        """Writes a row group."""
        self._writer.write_table(rows, row_group_size=ROW_GROUP)
        self._held.append(rows.select(PART_FACTS.names))
        if ALTERED.name in rows.schema.names:
            self.altered += pc.sum(pc.and_(rows[ALTERED.name], pc.is_null(rows["reason"]))).as_py() or 0


def write_facts(path: Path, facts: pa.Table) -> None:
    """Writes the facts of a part (PART_FACTS) as one row group."""
    pq.write_table(
        *(facts, path),
        compression="zstd",
        row_group_size=max(1, len(facts)),
        use_dictionary=_REPEATING,
        column_encoding={"place": "DELTA_BINARY_PACKED"},
        write_statistics=["part"],  # by which an engine passes over the parts of other groups
    )


@dataclass(slots=True)
class _Outcome:
    """What came of one URL: the columns that all of its rows share, and the range of its JPEG in the scratch file."""

    columns: dict[str, Any] = field(default_factory=dict)  # empty: not there yet
    start: int = 0
    size: int = 0
    written: bool = False  # a row has the JPEG


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows of one row group, and for each the number of its URL."""

    rows: list[dict[str, Any]]
    numbers: list[int]


class PartTable:
    """Writes the table of a part to files in a local folder.

    URLs are numbered in the order of their first rows. `arrived` takes what came of each, in any order; `write` runs
    concurrently, and writes a row group once all of its URLs are there. JPEGs wait in a scratch file: memory holds one
    row group, and the outcomes without their JPEGs.
    """

    def __init__(self, folder: Path, part: int, schema: pa.Schema, num_urls: int) -> None:
        self.counts: Counter[str] = Counter()  # written rows by outcome, "ok" or a reason
        self.compared = 0  # rows whose digest in the list was compared
        self._part, self._schema = part, schema
        self._outcomes = [_Outcome() for _ in range(num_urls)]
        self._complete = 0  # outcomes that are there, counted from the first without a gap
        self._awaited, self._enough = 0, asyncio.Event()
        self._files = ExitStack()
        self._jpegs = self._files.enter_context((folder / "part.jpegs").open("w+b"))
        self._writer = self._files.enter_context(PartWriter(folder, schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)

    @property
    def files(self) -> PartWriter:
        """Returns the files, which are complete after the `with` block."""
        return self._writer

    def arrived(self, number: int, columns: dict[str, Any], jpeg: bytes | None = None) -> None:
        """Takes what came of a URL: its columns, and its JPEG if the reason is null."""
        outcome = self._outcomes[number]
        if jpeg is not None:
            outcome.start, outcome.size = self._jpegs.tell(), len(jpeg)
            self._jpegs.write(jpeg)
        outcome.columns = columns
        while self._complete < len(self._outcomes) and self._outcomes[self._complete].columns:
            self._complete += 1
        if self._complete >= self._awaited:
            self._enough.set()

    async def write(self, rows: BinaryIO) -> None:
        """Writes all rows of a partition, given its `rows_file`; in a thread, so that fetching goes on."""
        call, groups = asyncio.get_running_loop().run_in_executor, self._groups(rows)
        with ThreadPoolExecutor(1, thread_name_prefix="tagmill-part") as thread:
            while (group := await call(thread, next, groups, None)) is not None:
                await self._first(1 + max(group.numbers))
                self._jpegs.flush()
                await call(thread, self._add, group)

    async def _first(self, count: int) -> None:
        """Waits until the first `count` outcomes are there."""
        self._awaited = count
        if self._complete < count:
            self._enough.clear()
            await self._enough.wait()

    @staticmethod
    def _groups(rows: BinaryIO) -> Iterator[_Group]:
        numbers: dict[bytes | int, int] = {}
        for batch in pq.ParquetFile(rows).iter_batches(ROW_GROUP, use_threads=False):
            group = _Group(batch.to_pylist(), [])
            for row in group.rows:
                group.numbers.append(numbers.setdefault(request_id(row), len(numbers)))
            yield group

    def _add(self, group: _Group) -> None:
        lines: list[dict[str, Any]] = []
        first_place, marks = self.counts.total(), ALTERED.name in self._schema.names
        for row, number in zip(group.rows, group.numbers, strict=True):
            outcome = self._outcomes[number]
            columns, equal = decided(row, outcome.columns, marks=marks)
            self.compared += equal is not None
            line = {**row, **columns, "part": self._part, "place": first_place + len(lines)}
            for name in BEFORE_FETCH:
                line.pop(name, None)
            if line["reason"] is None:
                line["sample_bytes"] = sample_bytes(line["jpeg_size"], len(record_of(line).json()))
                if not outcome.written:
                    line["jpeg"] = os.pread(self._jpegs.fileno(), outcome.size, outcome.start)
                    outcome.written = True
            lines.append(line)
        self._writer.write(pa.Table.from_pylist(lines, self._schema))
        self.counts.update(line["reason"] or "ok" for line in lines)
