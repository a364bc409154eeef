"""Decides which near duplicates to drop: a row is dropped if and only if a better-ranked row that is kept is near
enough.

This is the lexicographically first maximal independent set. Pairs come in the order of their better row; all pairs in
which it is the worse row came before, so it is already known whether it is kept. One pass decides, however long chains
are, and the first kept row of a dropped row is the best. Memory: one byte per row with a near duplicate.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.similarity.hash_files import explain_full_disk

YIELDED = pa.schema([("rank", pa.int64()), ("to_rank", pa.int64())])


def greedy_independent_set(pairs: Iterable[pa.RecordBatch], ranks: int, path: Path) -> Counter[int]:
    """Writes the dropped rows, each with the row that it is a duplicate of (YIELDED), and counts pairs by distance.

    `pairs` have the columns better, worse (ranks from 1 to `ranks`) and distance, sorted by (better, worse), each pair once.
    """
    gone = bytearray(ranks + 1)
    counts: Counter[int] = Counter()
    with explain_full_disk(path), pq.ParquetWriter(path, YIELDED, compression="zstd") as writer:
        for batch in pairs:
            dropped: list[int] = []
            kept: list[int] = []
            for better, worse in zip(batch["better"].to_pylist(), batch["worse"].to_pylist(), strict=True):
                if not gone[better] and not gone[worse]:
                    gone[worse] = 1
                    dropped.append(worse)
                    kept.append(better)
            for count in batch["distance"].value_counts().to_pylist():
                counts[count["values"]] += count["counts"]
            writer.write_batch(pa.RecordBatch.from_pydict({"rank": dropped, "to_rank": kept}, YIELDED))
    return counts
