"""Partitions rows by a hash of their URL, before anything is fetched: partitions are in random order, and equal URLs
meet.

With `keep_order` a partition is a run of consecutive rows of the input instead, in its order.
"""

import json
import logging
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.layout import COPIES_FOLDER, PARTITION_MARKER, PARTS_LAYOUT, ROWS_PATTERN, rows_file
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.parts.hashed_rows import by_hash, hashed, partition_bits, partition_schema, top_bits, words_of
from tagmill.ingest.parts.input_files import Noticed, put_input_files
from tagmill.ingest.parts.partition_tasks import RowTasks, partition_in_tasks, write_rows
from tagmill.ingest.parts.stored_pictures import StoredPictures
from tagmill.ingest.sources.inputs import ROW_BITS, inputs
from tagmill.ingest.sources.rows import rows
from tagmill.shards.errors import ConfigError
from tagmill.shards.input_table import InputTotals
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

log = logging.getLogger(__name__)

FAN_OUT_BITS = 8  # 256 buckets are open at a time
HELD_PARTS = 64  # partitions of a bucket that is split in memory; larger buckets are split on disk
PARTS_PER_PASS = 8  # partitions that one pass over a bucket takes out of it
JOINED_BATCH_BYTES = 1 << 23  # bytes of rows that are joined to one batch
PUTS_AT_ONCE = 8  # partitions that are being written to the store
PutPart = Callable[[pa.Table, int], None]  # the rows of a partition, and its number


@dataclass(frozen=True)
class PartitionManifest:
    """What was partitioned; also the content of the marker, which tells a resumed run that the stage is complete."""

    num_parts: int
    rows: int
    inputs: InputTotals  # INPUTS_FILE has them one by one
    fields: dict[str, Any]  # `IngestConfig.deciding("fetch")`
    layout: int = PARTS_LAYOUT  # of the version that began the run

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads a marker, also of another version: see `check_layout`."""
        found = json.loads(data)
        flags, layout = found.get("fields", {}), found.get("layout", 1)
        inputs = found["inputs"]
        totals = InputTotals.of(inputs) if isinstance(inputs, dict) else InputTotals(len(inputs))
        return cls(found["num_parts"], found["rows"], totals, flags, layout)


def check_layout(store: Store, start_over: str) -> None:
    """Raises ConfigError where a version with another layout of `parts/` began the run, before anything is written.

    `start_over` says how to give the run up.
    """
    marker = read_if_there(store, PARTITION_MARKER)
    layout = PARTS_LAYOUT if marker is None else PartitionManifest.parse(marker).layout
    if layout != PARTS_LAYOUT:
        what = f"begun by another version of tagmill: parts/ has layout {layout} there, and {PARTS_LAYOUT} here"
        raise ConfigError(what, store.url, f"finish it with the version that began it, or {start_over}")


def partition(
    config: IngestConfig,
    store: Store,
    spool: Path,
    first_file: int = 0,
    see: Callable[[pa.RecordBatch], None] | None = None,
    tasks: RowTasks | None = None,
    progress: Progress | None = None,
) -> PartitionManifest:
    """Puts every row into the `rows.parquet` of one partition, ordered by (url hash, row_id), and the marker last.

    The number of partitions is a power of two, with at most `rows_per_part` rows in each on average. `spool` takes a
    copy of all rows; memory holds the rows of HELD_PARTS partitions. With `keep_order` a partition is the next
    `rows_per_part` rows of the input, and only one at a time is copied to the spool.

    With `tasks` a cluster does it (partition_tasks.py), unless the order or a limit of rows needs one reader.

    `first_file` is the ordinal of the first input: an extension counts on after the files of earlier runs. `see` is
    called with rows in input order, all or at least the first FIRST_ROWS. Where the marker is there, the stage is
    skipped. Raises ConfigError where that was under other flags of fetching, with both values of each.
    """
    if (marker := read_if_there(store, PARTITION_MARKER)) is not None:
        return _partitioned_before(config, marker)
    # Of a run that was killed in this stage, maybe with other flags.
    store.delete_many([name for name in store.names("parts") if ROWS_PATTERN.fullmatch(name)])
    store.delete_below(COPIES_FOLDER)
    folder = spool / "partition"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if tasks is not None and not config.keep_order and config.limit is None:
        shown = progress or Silent()
        num_parts, noticed = partition_in_tasks(config, store, tasks, folder, first_file, see or _unseen, shown)
    else:
        num_parts, noticed = _partition_here(config, store, folder, first_file, see or _unseen)
    files = inputs(config)[: len(noticed.warnings)]  # those that a limit leaves unread are no inputs of the corpus
    if first_file + len(files) > 1 << 63 - ROW_BITS:
        raise ConfigError(
            f"the corpus was made from {first_file} files already", config.output, "join some of the new ones"
        )
    totals = put_input_files(store, folder, files, noticed)
    manifest = PartitionManifest(num_parts, sum(noticed.rows.values()), totals, config.deciding("fetch"))
    store.put(PARTITION_MARKER, json.dumps(asdict(manifest)).encode())
    shutil.rmtree(folder)
    return manifest


def _unseen(batch: pa.RecordBatch) -> None:
    del batch


def _partition_here(
    config: IngestConfig, store: Store, folder: Path, first_file: int, see: Callable[[pa.RecordBatch], None]
) -> tuple[int, Noticed]:
    """Partitions on this machine; returns the number of partitions, and what was noticed in the inputs."""
    noticed = Noticed({}, {}, {})

    def seen() -> Iterator[pa.RecordBatch]:
        pictures = StoredPictures(store, folder)
        for batch in filter(len, rows(config, noticed.warnings, noticed.listings, pictures)):
            see(batch)
            ordinal = batch["row_id"][0].as_py() >> ROW_BITS
            noticed.rows[ordinal] = noticed.rows.get(ordinal, 0) + len(batch)
            yield batch

    with _Puts(store, folder) as puts:
        batches = hashed(seen(), config, first_file)
        if config.keep_order:
            return _partition_in_order(batches, config.rows_per_part, puts.put), noticed
        return _partition_hashed(batches, config.rows_per_part, partition_schema(config), folder, puts.put), noticed


def _partitioned_before(config: IngestConfig, marker: bytes) -> PartitionManifest:
    """Reads the marker. Raises ConfigError where it was put under other flags of fetching."""
    found = PartitionManifest.parse(marker)
    if differ := config.differences(found.fields, "fetch"):
        what = f"begun with other flags, which partition and fetch the rows otherwise: {'; '.join(differ)}"
        raise ConfigError(what, config.output, "give them as they were, or another output")
    return found


def _partition_in_order(batches: Iterator[pa.RecordBatch], rows_per_part: int, put: PutPart) -> int:
    """Puts each run of `rows_per_part` rows as a partition, in order; returns the number of partitions."""
    part, held, num_held = 0, list[pa.RecordBatch](), 0
    for batch in batches:
        while len(batch):
            some = batch.slice(0, rows_per_part - num_held)
            batch = batch.slice(len(some))
            held.append(some)
            num_held += len(some)
            if num_held == rows_per_part:
                put(pa.Table.from_batches(held), part)
                part, held, num_held = part + 1, [], 0
    if held:
        put(pa.Table.from_batches(held), part)
    return part + (num_held > 0)


def _partition_hashed(
    batches: Iterator[pa.RecordBatch], rows_per_part: int, schema: pa.Schema, spool: Path, put: PutPart
) -> int:
    """Puts the rows as partitions of equal hash ranges; returns the number of partitions, a power of two."""
    buckets, num_rows = Buckets(spool, schema, depth=0), 0
    for batch in batches:
        buckets.add(batch)
        num_rows += len(batch)
    bits = partition_bits(num_rows, rows_per_part)
    partition_buckets(buckets.close(), bits, schema, spool, lambda table, part: put(by_hash(table), part))
    return 1 << bits


@dataclass(frozen=True)
class Bucket:
    """The rows whose hash begins with `prefix`, which has `depth` x FAN_OUT_BITS bits, in a local Arrow stream."""

    path: Path
    prefix: int
    depth: int


class Buckets:
    """Splits rows by the next FAN_OUT_BITS of their hash into files of `folder`; a bucket without rows has no file."""

    def __init__(self, folder: Path, schema: pa.Schema, depth: int, prefix: int = 0) -> None:
        self._folder, self._schema, self._depth, self._prefix = folder, schema, depth, prefix
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def _bucket(self, digit: int) -> Bucket:
        prefix = self._prefix << FAN_OUT_BITS | digit
        return Bucket(self._folder / f"{self._depth + 1}-{prefix:06x}.arrows", prefix, self._depth + 1)

    def add(self, batch: pa.RecordBatch) -> None:
        digits = top_bits(words_of(batch), FAN_OUT_BITS, self._depth * FAN_OUT_BITS)
        order = np.argsort(digits, kind="stable")
        sorted_rows, cuts = batch.take(pa.array(order)), np.searchsorted(digits[order], np.arange(257))
        for digit in np.unique(digits).tolist():
            start, stop = cuts[digit : digit + 2].tolist()
            if digit not in self._writers:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writers[digit] = pa.ipc.new_stream(str(self._bucket(digit).path), self._schema, options=options)
            self._writers[digit].write_batch(sorted_rows.slice(start, stop - start))

    def close(self) -> list[Bucket]:
        for writer in self._writers.values():
            writer.close()
        return [self._bucket(digit) for digit in sorted(self._writers)]


def _batches(bucket: Bucket) -> Iterator[pa.RecordBatch]:
    """Reads a bucket in batches of JOINED_BATCH_BYTES, and deletes it: it was written a few hundred rows at a time, and the
    later steps pay per batch."""
    some: list[pa.RecordBatch] = []
    size = 0
    with pa.OSFile(str(bucket.path)) as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            some.append(batch)
            size += batch.nbytes
            if size >= JOINED_BATCH_BYTES:
                yield from pa.Table.from_batches(some).combine_chunks().to_batches()
                some, size = [], 0
    if some:
        yield from pa.Table.from_batches(some).combine_chunks().to_batches()
    bucket.path.unlink()


def partition_buckets(buckets: Iterable[Bucket], bits: int, schema: pa.Schema, spool: Path, put: PutPart) -> None:
    """Puts all 2^bits partitions in order, empty ones too.

    A bucket of more than HELD_PARTS is split once more on disk.
    """
    part, held = 0, schema.empty_table()
    for bucket in _fine(buckets, bits, schema, spool):
        used = bucket.depth * FAN_OUT_BITS
        first = bucket.prefix >> used - bits if used >= bits else bucket.prefix << bits - used
        last = first if used >= bits else first + (1 << bits - used) - 1
        while part < first:
            put(held, part)
            part, held = part + 1, schema.empty_table()
        held = pa.concat_tables([held, pa.Table.from_batches(_batches(bucket), schema)])
        if last > part:
            for part, mine in _split(held, top_bits(words_of(held), bits), range(first, last + 1)):
                if part < last:
                    put(mine, part)
                else:  # the next bucket may have more rows of it
                    held = mine
    while part < 1 << bits:
        put(held, part)
        part, held = part + 1, schema.empty_table()


def _split(table: pa.Table, parts: npt.NDArray[np.int64], numbers: range) -> Iterator[tuple[int, pa.Table]]:
    """Yields (partition, its rows) for each of `numbers`, in order.

    One pass over all rows serves PARTS_PER_PASS partitions: a pass for each would read every row too often, and sorting
    all rows would need their memory twice.
    """
    for first in numbers[::PARTS_PER_PASS]:
        near = (parts >= first) & (parts < first + PARTS_PER_PASS)
        some, inside = table.filter(pa.array(near)).combine_chunks(), parts[near]
        for part in range(first, min(first + PARTS_PER_PASS, numbers.stop)):
            yield part, some.take(pa.array(np.flatnonzero(inside == part)))


def _fine(buckets: Iterable[Bucket], bits: int, schema: pa.Schema, spool: Path) -> Iterator[Bucket]:
    """Yields buckets of at most HELD_PARTS partitions each, in order; larger ones are split on disk."""
    for bucket in buckets:
        if bits - bucket.depth * FAN_OUT_BITS <= HELD_PARTS.bit_length() - 1 or bucket.depth > 1:
            yield bucket
            continue
        finer = Buckets(spool, schema, bucket.depth, bucket.prefix)
        for batch in _batches(bucket):
            finer.add(batch)
        yield from finer.close()


class _Puts:
    """Writes partitions and puts them into the store, PUTS_AT_ONCE at a time, because a put mostly waits for a disk or
    a network.

    `__exit__` waits for all of them. It and `put` raise what an earlier put raised.
    """

    def __init__(self, store: Store, spool: Path) -> None:
        self._store, self._spool = store, spool
        self._pool = DaemonPool(PUTS_AT_ONCE, "tagmill-partition")
        self._waiting: deque[Future[None]] = deque()

    def put(self, table: pa.Table, part: int) -> None:
        path = self._spool / f"rows-{part:06d}.parquet"
        write_rows(table, path)
        self._waiting.append(self._pool.submit(self._store.put, rows_file(part), path, give=True))
        if len(self._waiting) > PUTS_AT_ONCE:  # bounds the files in the spool
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)
        while self._waiting and kind is None:
            self._waiting.popleft().result()
