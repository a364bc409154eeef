"""The engine interface: statements by name, Parquet of a store as one lazy table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.engines.engine import parquet_of, statement_text
from tagmill.shards.storage.store import Store


def test_statements_are_found_by_their_file() -> None:
    assert "FROM facts" in statement_text("exact")
    with pytest.raises(FileNotFoundError):
        statement_text("no_such_statement")


@pytest.mark.parametrize("url", ["{path}", "file://{path}", "memory://tables{path}"])
def test_parquet_is_read_from_any_store_in_the_columns_asked_for(tmp_path: Path, url: str) -> None:
    store = Store(url.format(path=tmp_path / "corpus"))
    for number in range(3):
        pq.write_table(pa.table({"a": [number], "b": ["x"], "jpeg": [b"12"]}), tmp_path / "file")
        store.put(f"parts/{number}.parquet", tmp_path / "file")
    schema = pa.schema([("b", pa.string()), ("a", pa.int64())])
    table = parquet_of(store, ["parts/2.parquet", "parts/0.parquet"], schema).dataset().to_table()
    assert table.schema == schema
    assert sorted(table["a"].to_pylist()) == [0, 2]
