"""Where samples are: one row for each, and results by shard whatever the sizes of their batches."""

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.views.sample_locations import SAMPLE_LOCATIONS, by_shard, sample_locations
from tests.ingest.tagged import make

ROWS = pa.schema([("shard", pa.int32()), ("ordinal", pa.int32())])


def test_every_sample_has_a_row(tmp_path: Path) -> None:
    made = make(tmp_path, [[["a"], ["b"]], [["c"]]], [[["d"]]])
    table = sample_locations(made.corpus.store, made.corpus.file.manifest, made.entries)
    rows = [tuple(row.values()) for item in table.items for batch in table.make(item) for row in batch.to_pylist()]
    assert table.schema == SAMPLE_LOCATIONS
    assert rows == list(zip(made.keys, [0, 0, 1, 2], [0, 1, 0, 0]))


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=6))
def test_rows_are_split_by_shard(parts: list[list[int]]) -> None:
    shards = sorted(shard for part in parts for shard in part)
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + len(part))
    batches = [
        pa.record_batch([shards[first:last], list(range(first, last))], schema=ROWS) for first, last in pairwise(ends)
    ]
    found = list(by_shard(pa.RecordBatchReader.from_batches(ROWS, batches), ROWS.remove(0)))
    assert [number for number, _ in found] == sorted(set(shards))
    assert [(number, n) for number, table in found for n in table["ordinal"].to_pylist()] == list(
        zip(shards, range(99))
    )
