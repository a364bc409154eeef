"""The tag union: counted by row, split by shard, empty where no duplicate has tags."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.views.tag_union import Union, tag_union
from tests.ingest.tagged import Tagged, make


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    engine = DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


def united(engine: DuckDB, made: Tagged, spool: Path) -> Union:
    spool.mkdir()
    return tag_union(engine, made.corpus.store, made.corpus.file.manifest, made.entries, spool)


def test_rows_are_counted_at_their_sample(engine: DuckDB, tmp_path: Path) -> None:
    yields = [(1, ["b", "b", "c"]), (1, ["c"]), (4, ["z"]), (6, ["h"]), (4, [])]
    made = make(tmp_path, [[["a"], ["b"]], [["x"]], [["c"], ["d"]]], [[["e"], ["f"]]], yields)
    found = united(engine, made, tmp_path / "work")
    assert set(found.files) == {"000000", "000002", "holdout-000000"}
    tables = {name: list(zip(*pq.read_table(path).to_pydict().values())) for name, path in found.files.items()}
    assert tables == {
        "000000": [(1, "b", 1), (1, "c", 2)],
        "000002": [(1, "z", 1)],
        "holdout-000000": [(1, "h", 1)],
    }
    assert found.sha256 == united(engine, made, tmp_path / "again").sha256
    more = make(tmp_path / "more", [[["a"], ["b"]], [["x"]], [["c"], ["d"]]], [[["e"], ["f"]]], [*yields, (0, ["q"])])
    assert united(engine, more, tmp_path / "third").sha256 != found.sha256


def test_without_duplicates_no_index_is_read(engine: DuckDB, tmp_path: Path) -> None:
    made = make(tmp_path, [[["a"]]])
    found = united(engine, made, tmp_path / "work")
    assert not found.files and not list((tmp_path / "work").iterdir())
    for name in made.corpus.store.names("rejects"):
        made.corpus.store.delete(name)
    assert united(engine, made, tmp_path / "again").sha256 == found.sha256
