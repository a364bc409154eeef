"""Who yields to whom, against the definition."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.dedup.greedy_mis import greedy_independent_set

SCHEMA = pa.schema([("better", pa.int64()), ("worse", pa.int64()), ("distance", pa.int32())])


def run(pairs: list[tuple[int, int]], ranks: int, batch: int = 3) -> dict[int, int]:
    table = pa.Table.from_pylist([{"better": a, "worse": b, "distance": a + b} for a, b in pairs], SCHEMA)
    with tempfile.TemporaryDirectory() as folder:
        counts = greedy_independent_set(table.to_batches(batch), ranks, Path(folder, "yielded"))
        assert counts.total() == len(pairs)
        return {row["rank"]: row["to_rank"] for row in pq.read_table(Path(folder, "yielded")).to_pylist()}


@settings(deadline=None)
@given(
    st.sets(st.tuples(st.integers(1, 12), st.integers(1, 12)).filter(lambda pair: pair[0] < pair[1])), st.integers(1, 5)
)
def test_a_row_is_dropped_iff_a_better_kept_one_is_near(pairs: set[tuple[int, int]], batch: int) -> None:
    kept: list[int] = []
    expected = {}
    for rank in range(1, 13):
        near = [better for better in kept if (better, rank) in pairs]
        if near:
            expected[rank] = near[0]
        else:
            kept.append(rank)
    assert run(sorted(pairs), 12, batch) == expected


def test_a_long_chain_is_one_pass() -> None:
    """Every other one is kept."""
    found = run([(rank, rank + 1) for rank in range(1, 100_000)], 100_000, 1000)
    assert len(found) == 50_000 and found[2] == 1 and 3 not in found
