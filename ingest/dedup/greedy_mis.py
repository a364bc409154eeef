"""Who yields to whom among near duplicates: a row is dropped iff a better-ranked row that is kept lies near enough.

Pairs come in the order of their better row, whose own fate is settled by then: all pairs in which it is the worse one came
before. So one pass decides (the lexicographically first maximal independent set), however long the chains are, and the first
kept row that a dropped one meets is the best. A byte a row that has a near duplicate is in memory.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.similarity.hash_files import explain_full_disk

YIELDED = pa.schema([("rank", pa.int64()), ("to_rank", pa.int64())])


def greedy_independent_set(pairs: Iterable[pa.RecordBatch], ranks: int, path: Path) -> Counter[int]:
    """Writes who is dropped and the row that it yields to (YIELDED), and counts the pairs by distance.

    `pairs` have better, worse and distance, ranks from 1 to `ranks`, ordered by (better, worse), each pair once.
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
