"""Items reach their tasks as they were, and a task reads only its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark

pytestmark = needs_spark


@dataclass(frozen=True)
class Item:
    shared: Any
    number: int
    text: str | None


SHARED = {"a config": ["x" * 1000]}


@given(st.lists(st.tuples(st.integers(), st.none() | st.text(max_size=8)), max_size=8), st.integers(0, 9))
def test_items_are_read_as_they_were(values: list[tuple[int, str | None]], first: int) -> None:
    from tagmill.ingest.engines.spark_items import rows_of

    for items in (
        [Item(SHARED, *value) for value in values],
        [Item([n], *value) for n, value in enumerate(values)],
        values,
    ):
        rows = rows_of(items, first)
        assert [batch.num_rows for batch in rows.batches] == [1] * len(items)
        assert list(rows.read(iter(rows.batches))) == [(first + number, item) for number, item in enumerate(items)]


def test_what_all_items_share_is_sent_once() -> None:
    from pyspark.cloudpickle import dumps

    from tagmill.ingest.engines.spark_items import rows_of

    sizes = []
    for tasks in (1_000, 10_000):
        rows = rows_of([Item(SHARED, number, None) for number in range(tasks)])
        sizes.append((len(dumps(rows.read)), max(batch.nbytes for batch in rows.batches)))
    assert sizes[0][0] == sizes[1][0] < 8_000, "bytes of the function"
    assert sizes[1][1] <= sizes[0][1] + 4 < 300, "bytes of an item: its number grows"


def _items(item: Item) -> Iterator[pa.RecordBatch]:
    yield pa.record_batch({"number": [item.number], "length": [len(item.shared["a config"][0])]})


def _work(item: Item) -> tuple[bytes, dict[str, int]]:
    return b"%d" % item.number, {"ok": 1}


def test_waves_of_tasks_keep_the_order(one_spark: OneSpark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tagmill.ingest.engines import spark_session

    monkeypatch.setattr(spark_session, "WAVE", 3)
    cluster, told = one_spark.cluster(tmp_path / "scratch"), []
    items = [Item(SHARED, number, None) for number in range(8)]
    assert cluster.each(_work, items, told.append, "the items") == [b"%d" % number for number in range(8)]
    assert sum(counts["ok"] for counts in told) == 8
    frame = cluster.frame(pa.schema([("number", pa.int64()), ("length", pa.int64())]), items, _items)
    assert frame.rdd.getNumPartitions() == 8
    assert [(row.number, row.length) for row in frame.collect()] == [(number, 1000) for number in range(8)]
    empty = cluster.frame(pa.schema([("number", pa.int64())]), [], _items)
    assert empty.collect() == []
    cluster.close()
