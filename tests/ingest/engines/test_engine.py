"""The engine interface: statements by name, Parquet of a store as one lazy table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.engines.engine import Parquet, parquet_of, statement_text
from tagmill.shards.errors import IntegrityError
from tagmill.shards.storage.store import Store
from tests.shards.faults import faulty
from tests.shards.objectstore import ObjectStore


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


def put_tables(store: Store, folder: Path, count: int) -> tuple[list[str], list[int]]:
    """Puts objects of ten rows each; returns their names and sizes."""
    names, sizes = [f"parts/{number:06d}/x.facts.parquet" for number in range(count)], []
    for number, name in enumerate(names):
        rows = range(10 * number, 10 * number + 10)
        pq.write_table(pa.table({"a": rows, "b": [str(row) for row in rows]}), folder / "file")
        sizes.append((folder / "file").stat().st_size)
        store.put(name, folder / "file")
    return names, sizes


TABLE = pa.schema([("a", pa.int64())])


def values_of(table: Parquet) -> list[int]:
    found = sorted(table.dataset().to_table()["a"].to_pylist())
    assert found == sorted(
        value for name in table.names for batch in table.batches(name) for value in batch["a"].to_pylist()
    )
    return found


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("url", ["{path}", "memory://copied{path}"])
def test_a_copy_and_a_slice_have_the_rows_of_their_objects(tmp_path: Path, url: str, known: bool) -> None:
    store = Store(url.format(path=tmp_path / "corpus"))
    names, sizes = put_tables(store, tmp_path, 5)
    table = parquet_of(store, names, TABLE, sizes if known else ())
    copied = table.copied(tmp_path / "copy", threads=2)
    assert copied.store.root == (tmp_path / "corpus" if store.root else tmp_path / "copy")
    assert copied.names == table.names
    assert values_of(table) == values_of(copied) == list(range(50))
    for each in (table, copied):
        assert values_of(each.slice(1, 3)) == list(range(10, 30))
        assert values_of(each.slice(4, 9)) == list(range(40, 50))
        assert values_of(each.slice(2, 2)) == []


def test_a_long_object_is_copied_and_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"memory://pieces{tmp_path}")
    names, sizes = put_tables(store, tmp_path, 2)
    monkeypatch.setattr("tagmill.ingest.engines.engine.SINGLE_READ", 100)
    table = parquet_of(store, names, TABLE, sizes)
    copied = table.copied(tmp_path / "copy")
    assert [copied.store.read(name) for name in names] == [store.read(name) for name in names]
    assert values_of(table) == list(range(20))


def test_an_object_of_another_size_than_was_noted_is_not_copied(tmp_path: Path) -> None:
    store = Store(f"memory://other{tmp_path}")
    names, sizes = put_tables(store, tmp_path, 3)
    for wrong in (sizes[1] - 1, sizes[1] + 1):
        with pytest.raises(IntegrityError):
            parquet_of(store, names, TABLE, [sizes[0], wrong, sizes[2]]).copied(tmp_path / "copy")
    store.delete(names[2])
    with pytest.raises(FileNotFoundError):
        parquet_of(store, names, TABLE, sizes).copied(tmp_path / "copy")


@pytest.mark.usefixtures("never_late")
def test_each_object_costs_one_request(s3_service: ObjectStore, s3_bucket: str, tmp_path: Path) -> None:
    store = Store(s3_bucket)
    names, sizes = put_tables(store, tmp_path, 8)
    with faulty(s3_service.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        table = parquet_of(store, names, TABLE, sizes)
        copied = table.copied(tmp_path / "copy")
        assert [(each.method, each.size) for each in sorted(proxy.requests, key=lambda each: each.path)] == [
            ("GET", size) for size in sizes
        ]
        proxy.forget()
        rows = sum(len(batch) for name in names for batch in table.batches(name))
        assert sorted(each.size for each in proxy.requests) == sorted(sizes)
    assert rows == len(values_of(copied)) == 80
