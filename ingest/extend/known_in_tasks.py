"""Finds the URLs of a new list that the extended corpus has already, on a cluster: what parts/known_urls.py does here.

Tasks read the tables of the corpus. URLs that may be in the new list move to the tasks of their partitions. For a list
of at most FILTERED_ROWS rows a Bloom filter first drops nearly all others; a longer list would fill a filter of its size.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.ingest.dedup.existing_samples import TABLES_IN_A_TASK
from tagmill.ingest.engines.engine import GeneratedTable
from tagmill.ingest.layout import KNOWN_FILTER
from tagmill.ingest.parts.hashed_rows import HASH, top_bits, words_of
from tagmill.ingest.parts.known_urls import (
    KNOWN,
    end,
    in_filter,
    known_before,
    put_known,
    tables_with_urls,
    urls_of,
    write_filter,
)
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.ingest.parts.partition_tasks import DIVISION, PART, TOGETHER, Plan, RowTasks, by_part
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import Corpus
from tagmill.shards.many_requests import TABLES_AT_ONCE, read_many
from tagmill.shards.storage.store import Store

FILTERED_ROWS = 50_000_000  # of a new list; their hashes pass through the machine that starts the run
_MOVED = pa.schema([(DIVISION, pa.int32()), (PART, pa.int32()), *KNOWN])


@dataclass(frozen=True)
class _Tables:
    """Some tables of the corpus, each with the column that has the key of a URL's sample."""

    store: Store
    tables: tuple[tuple[str, str], ...]
    seed: int
    filter: str | None  # sha256 of the filter; None: there is none


def partition_known_in_tasks(
    corpus: Corpus, manifest: PartitionManifest, store: Store, spool: Path, tasks: RowTasks
) -> int:
    """Puts the `known_file` of every partition; returns how many URLs are known. See `partition_known`."""
    if (before := known_before(store)) is not None:
        return before
    digest = None
    if manifest.rows <= FILTERED_ROWS:
        path = write_filter(spool / "known-filter.npy", corpus, manifest, store)
        digest = sha256_hex(path.read_bytes())
        store.put(KNOWN_FILTER, path, give=True)
    plan = Plan(manifest.num_parts.bit_length() - 1, TOGETHER)
    every = tables_with_urls(corpus)
    some = [
        _Tables(store, tuple(every[start : start + TABLES_IN_A_TASK]), corpus.file.seed, digest)
        for start in range(0, len(every), TABLES_IN_A_TASK)
    ]
    table = GeneratedTable(_MOVED, some, partial(_moved, plan))
    counts = tasks.put_divided(
        table, [PART, HASH, "key"], plan.divisions, partial(_put, store), "the URLs that the corpus has"
    )
    store.delete(KNOWN_FILTER)
    end(store, sum(counts))
    return sum(counts)


@lru_cache(maxsize=1)
def _filter(store: Store, digest: str) -> npt.NDArray[np.uint8]:
    del digest  # tells the filters of several runs apart, which a process may see
    found: npt.NDArray[np.uint8] = np.load(io.BytesIO(store.read(KNOWN_FILTER)), allow_pickle=False)
    return found


def _moved(plan: Plan, task: _Tables) -> Iterator[pa.RecordBatch]:
    """Yields the URLs of some tables, each with its division and partition."""
    names = (name for name, _ in task.tables)
    for (_, key), data in zip(task.tables, read_many(task.store, names, TABLES_AT_ONCE), strict=True):
        found = urls_of(data, key, task.seed)
        if task.filter is not None:
            found = in_filter(found, _filter(task.store, task.filter))
        if len(found):
            parts = top_bits(words_of(found), plan.bits)
            numbers = [pa.array(parts // plan.together, pa.int32()), pa.array(parts, pa.int32())]
            yield pa.record_batch([*numbers, *found.columns], schema=_MOVED)


def _put(store: Store, number: int, batches: Iterator[pa.RecordBatch], folder: Path) -> Sequence[int]:
    """Puts the known URLs of some partitions; returns how many they are. A task, which may run twice."""
    del number
    counts = []
    for part, found in by_part(batches):
        table = pa.Table.from_batches(found).drop_columns([DIVISION, PART]).cast(KNOWN)
        counts.append(put_known(table, part, store, folder))
    return [sum(counts)]
