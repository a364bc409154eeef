"""The embedded engine: bound tables, kept tables, parameters, spilling, freed scratch space."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.dedup.group_selection import DROPPED
from tagmill.ingest.engines import duckdb
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import parquet_of, statement_text
from tagmill.shards.errors import ConfigError, StoreError, TagmillError
from tagmill.shards.storage.store import Store


@pytest.fixture
def engine(tmp_path: Path) -> DuckDB:
    return DuckDB(tmp_path / "scratch", memory_limit="200MB", threads=2)


def test_a_statement_sees_bound_parquet_and_kept_tables(engine: DuckDB, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    schema = pa.schema([("reason", pa.string()), ("tags", pa.list_(pa.string())), ("jpeg", pa.binary())])
    reasons, tags = ["duplicate", "not_found", "duplicate"], [["a"], ["b"], []]
    for number in range(2):
        table = pa.table({"reason": reasons, "tags": tags, "jpeg": [b"x"] * 3})
        pq.write_table(table, tmp_path / "file", row_group_size=2)
        store.put(f"{number}.parquet", tmp_path / "file")
    engine.bind("rejects", parquet_of(store, ["0.parquet", "1.parquet"], schema))
    engine.keep("kept", "duplicates")
    assert engine.run("duplicates").read_all().to_pylist() == [{"total": 2}]


TIMES = """
import sys, pathlib
import pyarrow as pa
from tagmill.ingest.engines import duckdb

duckdb.statement_text = lambda name: "SELECT taken, CAST(CAST(taken AS DATE) AS VARCHAR) AS day FROM t"
engine = duckdb.DuckDB(pathlib.Path(sys.argv[1]), memory_limit="200MB", threads=1)
engine.bind("t", pa.table({"taken": pa.array([0, 86399999], pa.timestamp("ms", tz="UTC"))}))
found = engine.run("any").read_all()
print(found.schema.field("taken").type, found["taken"].cast(pa.int64()).to_pylist(), found["day"].to_pylist())
"""


@pytest.mark.parametrize("zone", ["America/New_York", "Etc/UTC"])
def test_times_do_not_depend_on_the_zone_of_the_machine(tmp_path: Path, zone: str) -> None:
    """A process reads its time zone once, so this takes a new process."""
    command = [sys.executable, "-c", TIMES, str(tmp_path / "scratch")]
    ended = subprocess.run(command, env={**os.environ, "TZ": zone}, capture_output=True, text=True)
    told = "timestamp[us, tz=UTC] [0, 86399999000] ['1970-01-01', '1970-01-01']"
    assert ended.stdout.strip() == told, ended.stderr


def test_parameters_reach_the_statement(engine: DuckDB) -> None:
    rows = {"row_id": [1, 2, 3], "holdout_order": [5, -5, 0], "key": ["a", "b", "c"]}
    engine.bind("facts", pa.table({**rows, "part": [0, 0, 1], "reason": pa.nulls(3, pa.string())}))
    engine.bind("dropped", pa.table({"row_id": [3]}))
    assert engine.run("split", holdout=1).read_all()["row_id"].to_pylist() == [2]
    assert engine.run("split", holdout=9).read_all()["row_id"].to_pylist() == [2, 1]
    assert engine.run("split", holdout=0).read_all()["row_id"].to_pylist() == []


def test_memory_beyond_the_limit_goes_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DuckDB(tmp_path / "scratch", memory_limit="48MB", threads=1)
    rows = 1_000_000
    keys = np.random.default_rng(0).permutation(rows)
    engine.bind("big", pa.table({"key": keys, "text": pa.array(np.char.add("n" * 40, keys.astype(str)))}))
    monkeypatch.setattr(duckdb, "statement_text", lambda name: "SELECT * FROM big ORDER BY text DESC")
    engine.keep("sorted", "any")
    first = next(iter(engine.run("any")))
    assert first["text"][0].as_py() == "n" * 40 + str(rows - 1)
    engine.close()


def test_a_full_disk_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = DuckDB(tmp_path / "scratch", memory_limit="10MB", threads=1)
    (tmp_path / "scratch" / "spill").write_text("no folder here")
    monkeypatch.setattr(
        duckdb,
        "statement_text",
        lambda name: "SELECT md5(CAST(r AS VARCHAR)) AS m FROM range(3000000) AS t(r) ORDER BY m",
    )
    with pytest.raises(TagmillError, match="raise memory_limit") as raised:
        engine.keep("big", "sorted_hashes")
    assert "\n" not in str(raised.value)


def test_a_limit_that_is_no_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="memory_limit much"):
        DuckDB(tmp_path / "scratch", memory_limit="much", threads=1)


def test_scratch_space_is_given_back_and_leftovers_do_no_harm(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "tables.duckdb").write_bytes(b"left by a run that was killed")
    engine = DuckDB(scratch, memory_limit="100MB", threads=1)
    engine.close()
    assert not scratch.exists()


def test_no_statement_reads_files_or_leaves_the_shared_subset() -> None:
    """`engine.py` describes the subset. Order inside an aggregate, ordinality and hashes differ by engine."""
    for path in (Path(duckdb.__file__).parent / "sql").glob("*.sql"):
        text = statement_text(path.stem).upper()
        code = "\n".join(line.partition("--")[0] for line in text.splitlines())
        for word in ("READ_", "COPY ", "ORDINALITY", "HASH(", "QUALIFY", "LEN(", "ATTACH", "INSTALL", ";"):
            assert word not in code, f"{path.name} has {word}"


def test_objects_of_a_remote_store_are_read_once(engine: DuckDB, tmp_path: Path) -> None:
    store = Store(f"memory://once{tmp_path}")
    pq.write_table(pa.table({"row_id": [1, 2], "part": [0, 0], "reason": ["a", None]}), tmp_path / "file")
    store.put("t.parquet", tmp_path / "file")
    source = parquet_of(store, ["t.parquet"], pa.schema([("row_id", pa.int64()), ("part", pa.int32())]))
    engine.bind_once("heldout", source)
    engine.bind("dropped", DROPPED.empty_table())
    store.delete("t.parquet")
    assert sorted(engine.run("decided").read_all()["row_id"].to_pylist()) == [1, 2]
    of_the_copy = engine.readable(source.of(pa.schema([("reason", pa.string())])))
    assert of_the_copy.dataset().to_table()["reason"].to_pylist() == ["a", None]
    here = parquet_of(Store(str(tmp_path)), ["file"], source.schema)
    assert engine.readable(here) is here


def test_results_are_saved_whole_or_by_parts(engine: DuckDB, tmp_path: Path) -> None:
    store, parts = Store(str(tmp_path / "store")), [7, 0, 3, 0, 8, 3, 2]
    engine.bind("heldout", pa.table({"row_id": range(len(parts)), "part": pa.array(parts, pa.int32())}))
    engine.bind("dropped", DROPPED.empty_table())
    names = engine.save("decided", DROPPED, store, "whole-{}".format)
    assert names == ["whole-0"] == store.names("")
    assert sorted(parquet_of(store, names, DROPPED).dataset().to_table()["row_id"].to_pylist()) == [*range(len(parts))]
    assert engine.save_divided("decided", DROPPED, store, "some-{}".format, 3) == [0, 1, 2]
    rows = [[row["row_id"] for row in pq.read_table(tmp_path / "store" / f"some-{n}").to_pylist()] for n in range(3)]
    assert rows == [[1, 3, 6], [2, 5], [0, 4]]
    assert not list((tmp_path / "scratch" / "saved").iterdir())


def squared(task: int, folder: Path) -> tuple[bytes, dict[str, int]]:
    assert folder.is_dir()
    if task < 0:
        raise StoreError(f"no task {task}", "memory://somewhere", "give another")
    return str(task * task).encode(), {"ok": task}


def test_tasks_run_and_their_counts_are_reported(engine: DuckDB) -> None:
    told: list[dict[str, int]] = []
    assert engine.each(squared, range(20), told.append, "squares") == [str(n * n).encode() for n in range(20)]
    assert sum(counts["ok"] for counts in told) == sum(range(20))
    with pytest.raises(StoreError, match="no task -1"):
        engine.each(squared, [1, -1, 2], told.append, "squares")
