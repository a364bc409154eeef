"""The embedded engine: bound tables, kept tables, parameters, spilling, freed scratch space."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.engines import duckdb
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import parquet_of, statement_text
from tagmill.shards.errors import ConfigError, TagmillError
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
