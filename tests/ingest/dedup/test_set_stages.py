"""Stages of a selection: what is complete under the same stamp is not made again, and its tables are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.dedup.set_stages import SetStages
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.layout import sets_file, sets_marker
from tagmill.shards.storage.store import Store
from tests.shards.progress.recorded import Recorded

COPIES = pa.schema([("row_id", pa.int64()), ("part", pa.int32()), ("keeper", pa.int64()), ("key", pa.string())])
KEPT = pa.schema([("row_id", pa.int64())])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDB]:
    engine = DuckDB(tmp_path / "engine", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


def bind_groups(engine: DuckDB, rows: int = 3) -> None:
    ids = range(rows)
    columns = {"row_id": ids, "part": [0] * rows, "key": ["k"] * rows, "keeper": [0] * rows}
    engine.bind("exact", pa.table(columns))


def copies(engine: DuckDB) -> list[int]:
    engine.bind("early", KEPT.empty_table())
    return sorted(engine.run("removed").read_all()["row_id"].to_pylist())


@pytest.mark.parametrize("url", ["{path}", "memory://stages{path}"])
def test_a_complete_stage_is_not_made_again(engine: DuckDB, tmp_path: Path, url: str) -> None:
    store, made = Store(url.format(path=tmp_path / "store")), []
    bind_groups(engine)

    def make(stages: SetStages) -> dict[str, Any]:
        made.append(stages.stamp)
        stages.save("copies", COPIES)
        return {"known": len(made)}

    for stamp, known in (("one", 1), ("one", 1), ("two", 2), ("two", 2)):
        stages = SetStages(engine, store, tmp_path, stamp)
        assert stages.complete("exact") == (stamp in made)
        assert stages.run("exact", {"copies": COPIES}, lambda stages=stages: make(stages)) == {"known": known}
        assert copies(engine) == [1, 2]
        assert stages.left("exact", "copies", COPIES).names == (sets_file("copies", 0),)
    assert made == ["one", "two"]


def test_a_stage_that_was_killed_is_made_again(engine: DuckDB, tmp_path: Path) -> None:
    stages = SetStages(engine, Store(str(tmp_path / "store")), tmp_path)
    bind_groups(engine, 2)

    def killed() -> dict[str, Any]:
        stages.save("copies", COPIES)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run("exact", {"copies": COPIES}, killed)
    assert stages.store.names("parts/sets") == [sets_file("copies", 0)] and not stages.complete("exact")
    bind_groups(engine, 3)

    def made() -> dict[str, Any]:
        stages.save("copies", COPIES)
        return {}

    stages.run("exact", {"copies": COPIES}, made)
    assert copies(engine) == [1, 2]
    assert stages.store.names("parts/sets") == [sets_file("copies", 0), sets_marker("exact")]


def test_tables_without_rows_have_no_objects(engine: DuckDB, tmp_path: Path) -> None:
    stages = SetStages(engine, Store(str(tmp_path / "store")), tmp_path)
    bind_groups(engine, 1)

    def make() -> dict[str, Any]:
        stages.save("copies", COPIES)
        return {"divisions": stages.save_divided("copies", COPIES, 4)}

    assert stages.run("exact", {"copies": COPIES}, make) == {"divisions": []}
    assert copies(engine) == [] and stages.store.names("parts/sets") == [sets_marker("exact")]


class Elsewhere(DuckDB):
    """An engine that does not see the disk of this machine."""

    here = False


@pytest.mark.parametrize(("kind", "objects"), [(DuckDB, []), (Elsewhere, [sets_file("existing", 0)])])
def test_local_files_are_put_only_for_an_engine_elsewhere(
    tmp_path: Path, kind: type[DuckDB], objects: list[str]
) -> None:
    engine = kind(tmp_path / "scratch", memory_limit="200MB", threads=1)
    stages = SetStages(engine, Store(str(tmp_path / "store")), tmp_path)
    pq.write_table(pa.table({"row_id": [7]}, KEPT), tmp_path / "file.parquet")
    stages.bind_files("existing", [tmp_path / "file.parquet"], KEPT)
    stages.bind_files("none", [], KEPT)
    assert stages.store.names("") == objects and (tmp_path / "file.parquet").exists()
    for table, rows in (("existing", [7]), ("none", [])):
        assert engine._connection.sql(f"SELECT row_id FROM {table}").fetchall() == [(row,) for row in rows]
    engine.close()


def test_stages_are_shown(engine: DuckDB, tmp_path: Path) -> None:
    progress = Recorded()
    stages = SetStages(engine, Store(str(tmp_path / "store")), tmp_path, progress=progress)
    for _ in range(2):
        stages.run("exact", {}, dict)
    stages.begin("near", 9)
    assert progress.stages == [("select: exact", None), ("select: exact", None), ("select: near", 9)]
