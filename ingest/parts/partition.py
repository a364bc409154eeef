"""Rows dealt into parts by a hash of their URL, before anything is fetched: parts are in random order, equal URLs meet.

With `keep_order` parts are runs of the input instead, in its order.
"""

import hashlib
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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.http.urls import url_hash
from tagmill.ingest.layout import PARTITION_MARKER, ROWS_PATTERN, rows_file
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import ROW_BITS, Input, inputs
from tagmill.ingest.sources.rows import row_schema, rows
from tagmill.ingest.sources.samples import Listing
from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

log = logging.getLogger(__name__)

FAN_OUT_BITS = 8  # 256 buckets are open at a time
HELD_PARTS = 64  # parts of a bucket that is dealt in memory
TOGETHER = 8  # parts that are taken out of them in one pass
LUMP = 1 << 23  # bytes of rows that are made one batch
AT_ONCE = 8  # parts that are on their way into the store
HASH = "url_hash"
Put = Callable[[pa.Table, int], None]  # a part's rows, and its number


@dataclass(frozen=True)
class PartitionManifest:
    """What was dealt; also the content of the marker, by which a resumed run knows that it is done."""

    num_parts: int
    rows: int
    # name, bytes, rows, sha256 of each input, in order of file ordinals; what was noticed, see `InputWarnings`. Of tars and
    # folders `listing_sha256`, see `samples.Listing`: their pictures are not read to deal them
    inputs: list[dict[str, Any]]
    fields: dict[str, Any]  # `IngestConfig.deciding("fetch")`

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises ConfigError for the marker of an earlier version, which does not say its flags."""
        told = json.loads(data)
        if "fields" not in told:
            remedy = "go on with that version, or remove the output and start over"
            raise ConfigError("begun by an earlier version of tagmill", PARTITION_MARKER, remedy)
        return cls(**told)


def partition_schema(config: IngestConfig) -> pa.Schema:
    """Columns of a part's `rows.parquet`: those of the sources, and the hash that they are dealt by."""
    return row_schema(config).append(pa.field(HASH, pa.binary(32), nullable=False))


def partition(
    config: IngestConfig,
    store: Store,
    spool: Path,
    first_file: int = 0,
    see: Callable[[pa.RecordBatch], None] | None = None,
) -> PartitionManifest:
    """Puts every row into the `rows.parquet` of one part, ordered by (url hash, row_id); the marker is put last.

    The number of parts is the smallest power of two that holds `rows_per_part` rows on average. `spool` takes a copy of
    all rows; memory holds the rows of HELD_PARTS parts. With `keep_order` a part is the next `rows_per_part` rows as they
    come, and nothing is copied to the spool but one part. A list that is dealt already is left as it is; raises ConfigError
    where that was under other flags of fetching, with both values of each. `first_file` is the ordinal of the first input,
    after those of the runs that made the corpus. `see` is shown the rows as they come.
    """
    if store.exists(PARTITION_MARKER):
        return _held(config, store.read(PARTITION_MARKER))
    for name in store.names("parts"):  # of a run that was killed while it dealt, maybe with other flags
        if ROWS_PATTERN.fullmatch(name):
            store.delete(name)
    folder = spool / "deal"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    schema = partition_schema(config)
    counts: dict[int, int] = {}
    noticed: dict[int, InputWarnings] = {}
    listings: dict[int, Listing] = {}

    def hashed() -> Iterator[pa.RecordBatch]:
        for batch in rows(config, noticed, listings):
            if len(batch):
                if see:
                    see(batch)
                ordinal = batch["row_id"][0].as_py() >> ROW_BITS
                counts[ordinal] = counts.get(ordinal, 0) + len(batch)
                yield _hashed(_numbered(batch, first_file), schema, config.seed)

    with _Puts(store, folder) as puts:
        if config.keep_order:
            num_parts = _deal_in_order(hashed(), config.rows_per_part, puts.put)
        else:
            buckets = Buckets(folder, schema, depth=0)
            for batch in hashed():
                buckets.add(batch)
            bits = max(0, -(-sum(counts.values()) // config.rows_per_part) - 1).bit_length()
            num_parts = 1 << bits
            partition_buckets(
                buckets.close(), bits, schema, folder, lambda table, part: puts.put(_in_order(table), part)
            )
    told = []
    for n, given in enumerate(inputs(config)):
        told.append(_input(given, counts.get(n, 0), noticed[n], listings.get(n)))
        for warning in noticed[n].warnings(given.url):
            log.warning(warning)
    if first_file + len(told) > 1 << 63 - ROW_BITS:
        raise ConfigError(f"{first_file} files have made this corpus", config.output, "join some of the new ones")
    dealt = PartitionManifest(num_parts, sum(counts.values()), told, config.deciding("fetch"))
    store.put(PARTITION_MARKER, json.dumps(asdict(dealt)).encode())
    shutil.rmtree(folder)
    return dealt


def _held(config: IngestConfig, marker: bytes) -> PartitionManifest:
    """What was dealt, if under the same flags of fetching."""
    found = PartitionManifest.parse(marker)
    if differ := config.differences(found.fields, "fetch"):
        what = f"begun with other flags, and rows are dealt and fetched by them: {'; '.join(differ)}"
        raise ConfigError(what, config.output, "give them as they were, or another output")
    return found


def _deal_in_order(batches: Iterator[pa.RecordBatch], rows_per_part: int, put: Put) -> int:
    """Puts each run of `rows_per_part` rows as a part, in order; returns the number of parts."""
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


def _numbered(batch: pa.RecordBatch, first_file: int) -> pa.RecordBatch:
    """The batch with the row_ids that it has in a corpus to which files were added."""
    if not first_file:
        return batch
    place = batch.schema.get_field_index("row_id")
    return batch.set_column(place, batch.schema.field(place), pc.add(batch["row_id"], first_file << ROW_BITS))


def _hashed(batch: pa.RecordBatch, schema: pa.Schema, seed: int) -> pa.RecordBatch:
    hashes = [url_hash(url or "", seed) for url in batch["url"].to_pylist()]
    return pa.record_batch([*batch.columns, pa.array(hashes, pa.binary(32))], schema=schema)


def words_of(batch: pa.RecordBatch | pa.Table) -> npt.NDArray[np.uint64]:
    """The hashes as four words each, the most significant first; uint64 [rows, 4]."""
    array = batch[HASH]
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    data = np.frombuffer(b"".join(array.to_pylist()), ">u8")
    return data.reshape(-1, 4).astype(np.uint64)


def _top(words: npt.NDArray[np.uint64], bits: int, skip: int = 0) -> npt.NDArray[np.int64]:
    """`bits` bits of every hash, after the first `skip`; skip + bits is at most 64."""
    if bits == 0:
        return np.zeros(len(words), np.int64)
    mask = np.uint64((1 << bits) - 1)
    return ((words[:, 0] >> np.uint64(64 - skip - bits)) & mask).astype(np.int64)


@dataclass(frozen=True)
class Bucket:
    """The rows whose hash begins with `prefix`, which has `depth` x FAN_OUT_BITS bits, in a local Arrow stream."""

    path: Path
    prefix: int
    depth: int


class Buckets:
    """Splits rows by the next FAN_OUT_BITS of their hash into files of `folder`; a bucket without rows has none."""

    def __init__(self, folder: Path, schema: pa.Schema, depth: int, prefix: int = 0) -> None:
        self._folder, self._schema, self._depth, self._prefix = folder, schema, depth, prefix
        self._writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}

    def _bucket(self, digit: int) -> Bucket:
        prefix = self._prefix << FAN_OUT_BITS | digit
        return Bucket(self._folder / f"{self._depth + 1}-{prefix:06x}.arrows", prefix, self._depth + 1)

    def add(self, batch: pa.RecordBatch) -> None:
        digits = _top(words_of(batch), FAN_OUT_BITS, self._depth * FAN_OUT_BITS)
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
    """A bucket's rows in lumps: they were written a few hundred at a time, and each piece costs every later step some calls."""
    some: list[pa.RecordBatch] = []
    size = 0
    with pa.OSFile(str(bucket.path)) as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            some.append(batch)
            size += batch.nbytes
            if size >= LUMP:
                yield from pa.Table.from_batches(some).combine_chunks().to_batches()
                some, size = [], 0
    if some:
        yield from pa.Table.from_batches(some).combine_chunks().to_batches()
    bucket.path.unlink()


def partition_buckets(buckets: Iterable[Bucket], bits: int, schema: pa.Schema, spool: Path, put: Put) -> None:
    """Puts the 2^bits parts in order, those without rows too. A bucket of very many parts is split once more on disk."""
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
            for part, mine in _parted(held, _top(words_of(held), bits), range(first, last + 1)):
                if part < last:
                    put(mine, part)
                else:  # others of the next bucket may belong to it
                    held = mine
    while part < 1 << bits:
        put(held, part)
        part, held = part + 1, schema.empty_table()


def _parted(table: pa.Table, parts: npt.NDArray[np.int64], numbers: range) -> Iterator[tuple[int, pa.Table]]:
    """(part, its rows) for each of `numbers`, in order. A pass over all rows is for TOGETHER parts: one for each would look at
    every row once a part, and to sort all of them would take their memory twice."""
    for first in numbers[::TOGETHER]:
        near = (parts >= first) & (parts < first + TOGETHER)
        some, inside = table.filter(pa.array(near)).combine_chunks(), parts[near]
        for part in range(first, min(first + TOGETHER, numbers.stop)):
            yield part, some.take(pa.array(np.flatnonzero(inside == part)))


def _fine(buckets: Iterable[Bucket], bits: int, schema: pa.Schema, spool: Path) -> Iterator[Bucket]:
    """Buckets of at most HELD_PARTS parts each, in order."""
    for bucket in buckets:
        if bits - bucket.depth * FAN_OUT_BITS <= HELD_PARTS.bit_length() - 1 or bucket.depth > 1:
            yield bucket
            continue
        finer = Buckets(spool, schema, bucket.depth, bucket.prefix)
        for batch in _batches(bucket):
            finer.add(batch)
        yield from finer.close()


def _in_order(table: pa.Table) -> pa.Table:
    """The rows of a part, by hash and then by row_id."""
    words = words_of(table)
    return table.take(pa.array(np.lexsort([table["row_id"].to_numpy(), *words.T[::-1]])))


class _Puts:
    """Writes parts and puts them into the store, AT_ONCE at a time: a put waits for a disk or a network, and not for us.
    Leaving it waits for all of them. `put` and leaving raise what a put raised."""

    def __init__(self, store: Store, spool: Path) -> None:
        self._store, self._spool = store, spool
        self._pool = DaemonPool(AT_ONCE, "tagmill-deal")
        self._waiting: deque[Future[None]] = deque()

    def put(self, table: pa.Table, part: int) -> None:
        path = self._spool / f"rows-{part:06d}.parquet"
        pq.write_table(table, path, compression="zstd")
        self._waiting.append(self._pool.submit(self._store.put, rows_file(part), path, give=True))
        if len(self._waiting) > AT_ONCE:  # so many files, and the next, lie in the spool at most
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)
        while self._waiting and kind is None:
            self._waiting.popleft().result()


def _input(given: Input, num_rows: int, noticed: InputWarnings, listing: Listing | None) -> dict[str, Any]:
    """An input as the corpus remembers it."""
    if listing is not None:
        seen = {"bytes": listing.bytes, "rows": num_rows, "listing_sha256": listing.sha256}
        return {"name": given.url, "kind": given.kind, **seen, **noticed.counts()}
    folder, _, name = given.url.rpartition("/")
    digest, size = hashlib.sha256(), 0
    with Store(folder or "/").open(name) as file:
        while block := file.read(1 << 22):
            digest.update(block)
            size += len(block)
    entry = {"name": given.url, "bytes": size, "rows": num_rows, "sha256": digest.hexdigest()}
    return entry | noticed.counts()
