"""Finds the URLs of a new list that the extended corpus has already, out of core, so that they are not fetched again.

Old URLs are partitioned by the same hash as the new list. A Bloom filter of bounded size over the new URLs (Bloom 1970,
Space/time trade-offs in hash coding) first drops nearly all others, so that disk and memory depend on the new list
alone.
"""

import functools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.http.urls import url_hash
from tagmill.ingest.layout import KNOWN_MARKER, known_file, rows_file
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.parts.hashed_rows import HASH, words_of
from tagmill.ingest.parts.partition import Buckets, PartitionManifest, partition_buckets
from tagmill.ingest.workers.pool import WorkerPool
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.manifest import Corpus
from tagmill.shards.many_requests import in_order, requests_at_once
from tagmill.shards.side_tables import num_runs, of_runs
from tagmill.shards.storage.store import Store

KNOWN = pa.schema([pa.field(HASH, pa.binary(32), nullable=False), pa.field("key", pa.string(), nullable=False)])
_BATCH_ROWS = 16_384
FILTER_BITS = (16, 29)  # log2 of the filter's bits, at least and at most: 64 MiB are enough for 50 million new URLs
PARTS_AT_ONCE = 8  # partitions that are read at a time from a remote store
BITS_PER_URL = 64  # of the filter, up to that limit


def known_keys(store: Store, part: int) -> dict[bytes, str]:
    """Returns the keys of the samples that the corpus has of a partition's URLs, by hash of the URL."""
    data = read_if_there(store, known_file(part))
    if data is None:
        return {}
    table = read_table(data)
    return dict(zip(table[HASH].to_pylist(), table["key"].to_pylist(), strict=True))


def partition_known(corpus: Corpus, manifest: PartitionManifest, store: Store, spool: Path, processes: int) -> int:
    """Puts the `known_file` of every partition: its URLs that samples of `corpus` have, or duplicates of samples;
    returns how many.

    Makes one pass over the URLs of shard tables and rejects. Skipped where the marker is there.
    """
    if (found_before := known_before(store)) is not None:
        return found_before
    folder = spool / "known"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = write_filter(folder / "filter.npy", corpus, manifest, store)
    tasks = [_Task(store, name, column, corpus.file.seed, path) for name, column in tables_with_urls(corpus)]
    buckets, total = Buckets(folder, KNOWN, depth=0), 0
    with WorkerPool(processes, "looking for known URLs") as pool:
        for found in pool.map(_find, tasks):
            if len(found):
                buckets.add(found)

    def put(table: pa.Table, part: int) -> None:
        nonlocal total
        total += put_known(table, part, store, folder)

    partition_buckets(buckets.close(), manifest.num_parts.bit_length() - 1, KNOWN, folder, put)
    end(store, total)
    shutil.rmtree(folder)
    return total


def known_before(store: Store) -> int | None:
    """Returns how many URLs are known where that was found before, else None."""
    marker = read_if_there(store, KNOWN_MARKER)
    return None if marker is None else int(json.loads(marker)["known"])


def end(store: Store, total: int) -> None:
    """Puts the marker."""
    store.put(KNOWN_MARKER, json.dumps({"known": total}).encode())


def tables_with_urls(corpus: Corpus) -> list[tuple[str, str]]:
    """Returns the tables of a corpus that have URLs, each with the column that has the key of a URL's sample."""
    rejects = of_runs(corpus.store.names("rejects"), num_runs(corpus.file))
    shards = [(f"shards/{entry.name}.parquet", "key") for entry in corpus.entries]
    return shards + [(name, "yields_to") for name in rejects]


def write_filter(path: Path, corpus: Corpus, manifest: PartitionManifest, store: Store) -> Path:
    """Writes the filter: it has a bit for each of the four words of a new URL's hash."""
    rows = manifest.rows + int(corpus.column("samples").sum())
    least, most = FILTER_BITS
    bits = min(most, max(least, (BITS_PER_URL * rows).bit_length()))
    filter_bytes = np.zeros(1 << bits - 3, np.uint8)
    parts, at_once = range(manifest.num_parts), min(PARTS_AT_ONCE, requests_at_once(store))
    for hashes in in_order(functools.partial(_hashes, store), parts, at_once):
        for batch in hashes.to_batches(_BATCH_ROWS):
            byte, bit = _positions(words_of(batch), len(filter_bytes))
            np.bitwise_or.at(filter_bytes, byte, bit)
    np.save(path, filter_bytes)
    return path


def _hashes(store: Store, part: int) -> pa.Table:
    """Returns the hashes of the URLs of a partition; read whole, because they are most of the file."""
    return read_table(store.read(rows_file(part)), [HASH])


def _positions(words: npt.NDArray[np.uint64], num_bytes: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Returns bytes and bits of a filter, [rows, 4] each.

    Takes the low bits of each word, because the high bits of the first word are the same within a partition.
    """
    position = words & np.uint64(8 * num_bytes - 1)
    return (position >> np.uint64(3)).astype(np.int64), np.left_shift(1, position & np.uint64(7)).astype(np.uint8)


@dataclass(frozen=True)
class _Task:
    """A table of the corpus, the column with the key of each URL's sample, and the file of the filter."""

    store: Store
    name: str
    key: str
    seed: int
    filter: Path


@functools.lru_cache(maxsize=1)
def _filter(path: Path) -> npt.NDArray[np.uint8]:
    found: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return found


def _find(task: _Task) -> pa.RecordBatch:
    """Returns the rows of KNOWN that pass the filter."""
    return in_filter(urls_of(task.store.read(task.name), task.key, task.seed), _filter(task.filter))


def urls_of(table: bytes, key: str, seed: int) -> pa.RecordBatch:
    """Returns the URLs of a table of the corpus as rows of KNOWN.

    Skips rows without a URL (purged), without a key (rejects that are no duplicates), and with a path of a folder or
    tar.
    """
    hashes, keys = list[bytes](), list[str]()
    # Read whole: these columns are most of the file, and a shard's table is small.
    file = pq.ParquetFile(pa.BufferReader(table), pre_buffer=False)
    for batch in file.iter_batches(_BATCH_ROWS, columns=["url", key], use_threads=False):
        both = batch.filter(pc.and_(batch["url"].is_valid(), batch[key].is_valid()))
        for url, its_key in zip(both["url"].to_pylist(), both[key].to_pylist(), strict=True):
            if url.strip()[:4].lower() == "http":
                hashes.append(url_hash(url, seed))
                keys.append(its_key)
    return pa.record_batch([pa.array(hashes, pa.binary(32)), pa.array(keys, pa.string())], schema=KNOWN)


def in_filter(found: pa.RecordBatch, filter_bytes: npt.NDArray[np.uint8]) -> pa.RecordBatch:
    """Returns the rows whose URL may be in the new list."""
    if not len(found):
        return found
    byte, bit = _positions(words_of(found), len(filter_bytes))
    return found.filter(pa.array((filter_bytes[byte] & bit != 0).all(axis=1)))


def put_known(table: pa.Table, part: int, store: Store, spool: Path) -> int:
    """Drops false positives of the Bloom filter, sorts, and puts each URL once; returns their number.

    A URL can have several keys only after a purge; the smallest is kept.
    """
    mine = _hashes(store, part)[HASH].unique()
    found = table.filter(pc.is_in(table[HASH], mine)).sort_by([(HASH, "ascending"), ("key", "ascending")])
    words = words_of(found)
    first = np.ones(len(found), np.bool_)
    first[1:] = (words[1:] != words[:-1]).any(axis=1)
    found = found.filter(pa.array(first))
    if len(found):
        path = spool / f"known-{part:06d}.parquet"
        pq.write_table(found, path, compression="zstd")
        store.put(known_file(part), path)
        path.unlink()
    return len(found)
