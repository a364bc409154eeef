"""Spark beside DuckDB: every statement, and every construct of the shared subset, gives equal tables on both."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.engines.dialect import faults
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import Engine, GeneratedTable, Param, parquet_of, statement_text
from tagmill.shards.errors import StoreError, TagmillError
from tagmill.shards.storage.store import Store
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.ingest.sqlcases import CASES, Case, Rows, schema

pytestmark = [needs_spark, pytest.mark.slow, pytest.mark.timeout(900)]
KINDS = ("empty", "null", "equal")
STATEMENTS = sorted(path.stem for path in (Path(__file__).parents[3] / "ingest" / "engines" / "sql").glob("*.sql"))


@pytest.fixture(scope="module")
def cluster(one_spark: OneSpark, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with closing(one_spark.cluster(tmp_path_factory.mktemp("spark") / "scratch")) as cluster:
        yield cluster


@pytest.fixture
def spark(cluster: Any) -> Iterator[Engine]:
    from tagmill.ingest.engines.spark import Spark

    engine = Spark(cluster)
    yield engine
    engine.close()


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[Engine]:
    engine = DuckDB(tmp_path / "duck", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Statements of a test's own, by name, beside those of the package."""
    from tagmill.ingest.engines import duckdb
    from tagmill.ingest.engines import spark as engine_spark

    texts: dict[str, str] = {}
    for module in (duckdb, engine_spark):
        monkeypatch.setattr(module, "statement_text", lambda name: texts.get(name) or statement_text(name))
    return texts


def lines(table: pa.Table) -> list[str]:
    return sorted(map(repr, table.to_pylist()))


def check(duck: Engine, spark: Engine, statement: str, case: Case) -> None:
    """The same columns, types and rows; what the result is ordered by comes in the same order."""
    for name, tables, params in case.inputs():
        found = []
        for engine in (duck, spark):
            for table, rows in tables.items():
                engine.bind(table, rows)
            found.append(engine.run(statement, **params).read_all())
        ours, theirs = found
        assert theirs.schema == ours.schema, (statement, name)
        assert lines(theirs) == lines(ours), (statement, name)
        for column in case.order:
            assert theirs[column].to_pylist() == ours[column].to_pylist(), (statement, name)


def test_every_statement_has_a_case() -> None:
    assert sorted(CASES) == STATEMENTS, (
        "give each statement of ingest/engines/sql its tables in tests/ingest/sqlcases.py"
    )


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_gives_the_same_table_on_both(duck: Engine, spark: Engine, statement: str) -> None:
    """With mixed rows, nulls and equal ones among them, and one of the other kinds; with TAGMILL_WHOLE each of them."""
    case = CASES[statement]
    if not os.environ.get("TAGMILL_WHOLE"):
        case = replace(case, kinds=("mixed", KINDS[STATEMENTS.index(statement) % len(KINDS)]))
    check(duck, spark, statement, case)


NUMBERS = Rows(schema(a="int64", b="int64", c="int32", s="string", l="strings"))
SMALL = Rows(schema(k="int64", v="int64"), {"k": [None, 0, 1, 7], "v": [None, 1, 2, 3]})
SUBSET: dict[str, str] = {
    "bits": "SELECT a & b AS x, a | b AS y, ~a AS z, xor(a, b) AS w, CAST(bit_count(xor(a, b)) AS INTEGER) AS n FROM t",
    "distance": "SELECT CAST(bit_count(a) AS BIGINT) + CAST(bit_count(b) AS BIGINT) AS d FROM t WHERE bit_count(a) <= 40",
    "shifts": "SELECT a >> 5 AS x, (CAST(a AS BIGINT) >> 48) & 65535 AS y, CAST(a AS BIGINT) >> 63 AS z FROM t",
    "parameters": "SELECT (CAST(a AS BIGINT) >> $by) & $mask AS x FROM t WHERE s = $text",
    "nulls_last": "SELECT a, s FROM t ORDER BY a DESC, s, b, c LIMIT 60",
    "bytes": "SELECT DISTINCT s FROM t ORDER BY s DESC",
    "least": "SELECT LEAST(a, b) AS x, GREATEST(a, b) AS y, COALESCE(a, b, 0) AS z, s || 'x' AS w FROM t",
    "conditions": "SELECT a FROM t WHERE a IN (1, 7) OR (a BETWEEN -1 AND 1 AND NOT s IS NULL) OR b IS NOT DISTINCT FROM a",
    "cases": "SELECT CASE WHEN a > 0 THEN s WHEN a IS NULL THEN 'none' END AS x, CAST(c AS VARCHAR) AS y FROM t",
    "numbered": "SELECT a, CAST(ROW_NUMBER() OVER (PARTITION BY s ORDER BY a, b, c) AS BIGINT) AS n FROM t",
    "first": "SELECT s, FIRST_VALUE(a) OVER (PARTITION BY s ORDER BY b DESC, a) AS f FROM t",
    "running": "SELECT MAX(c) OVER (PARTITION BY s ORDER BY a, b, c ROWS UNBOUNDED PRECEDING) AS m FROM t",
    "peers": "SELECT COUNT(*) OVER (PARTITION BY s) AS n, COUNT(a) OVER (PARTITION BY s ORDER BY b) AS m FROM t",
    "qualified": "SELECT s, a FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY s ORDER BY a, b, c) = 1",
    "counted": "SELECT s, COUNT(*) AS n, COUNT(DISTINCT a) AS d, MAX(s) AS y FROM t GROUP BY s HAVING COUNT(*) > 1",
    "summed": "SELECT s, CAST(SUM(CAST(c AS BIGINT)) AS BIGINT) AS x FROM t GROUP BY s",
    "opened": "SELECT a, UNNEST(l) AS item FROM t WHERE CARDINALITY(l) > 1",
    "sized": "SELECT CAST(CARDINALITY(l) AS BIGINT) AS n FROM t",
    "left": "SELECT u.k, w.v FROM u LEFT JOIN w ON u.k = w.k",
    "full": "SELECT u.k, w.v FROM u FULL OUTER JOIN w ON u.k = w.k AND u.v < w.v",
    "semi": "SELECT u.k, u.v FROM u SEMI JOIN w ON u.v = w.v AND u.k <> w.k",
    "anti": "SELECT u.k, u.v FROM u ANTI JOIN w ON u.k = w.k",
    "exists": "SELECT u.v FROM u WHERE NOT EXISTS (SELECT 1 AS one FROM w WHERE w.k = u.k AND w.v > u.v)",
    "not_in": "SELECT v FROM u WHERE k NOT IN (SELECT k FROM w WHERE k IS NOT NULL)",
    "with": "WITH x AS (SELECT k, v FROM u UNION ALL SELECT k, v FROM w) SELECT k, COUNT(v) AS n FROM x GROUP BY k",
    "pairs": "SELECT u.k AS a, w.k AS b FROM u INNER JOIN w USING (v) WHERE u.k < w.k",
}


@pytest.mark.parametrize("name", SUBSET)
def test_the_shared_subset_gives_equal_answers(duck: Engine, spark: Engine, said: dict[str, str], name: str) -> None:
    said[name] = SUBSET[name]
    assert faults(SUBSET[name]) == []
    params: list[Mapping[str, Param]] = [{}]
    if "$" in SUBSET[name]:
        params = [{"by": 16, "mask": 65535, "text": "'"}, {"by": 63, "mask": 1 << 62, "text": "\\"}]
    order = {"nulls_last": ("a", "s"), "bytes": ("s",)}.get(name, ())
    check(duck, spark, name, Case({"t": NUMBERS, "u": SMALL, "w": SMALL}, params, order, kinds=("mixed",)))


@pytest.mark.parametrize("text", ["SELECT a + b AS x FROM t", "SELECT CAST(a AS INTEGER) AS x FROM t"])
def test_what_does_not_fit_is_an_error_on_both(duck: Engine, spark: Engine, said: dict[str, str], text: str) -> None:
    said["overflow"] = text
    table = NUMBERS.table("mixed")
    for engine, kind in ((duck, Exception), (spark, TagmillError)):
        engine.bind("t", table)
        with pytest.raises(kind, match=r"(?i)overflow|range"):
            engine.run("overflow").read_all()


@pytest.mark.parametrize("url", ["{path}", "file://{path}"])
def test_parquet_of_a_store_is_the_same_on_both(
    duck: Engine, spark: Engine, said: dict[str, str], tmp_path: Path, url: str
) -> None:
    """Columns in another order, one that only some files have, timestamps; names that are to be kept from a shell."""
    wanted = pa.schema(
        [("s", pa.string()), ("taken", pa.timestamp("ms", tz="UTC")), ("a", pa.int64()), ("l", pa.list_(pa.string()))]
    )
    store = Store(url.format(path=tmp_path / "with space"))
    table = NUMBERS.table("mixed")
    whole = table.append_column("taken", pa.array(range(len(table)), pa.timestamp("ms", tz="UTC")))
    for name, rows in (("a 1", whole), ("b", table.select(["l", "s", "a"])), ("c", table.slice(0, 0))):
        pq.write_table(rows, tmp_path / "file", row_group_size=40)
        store.put(f"{name}.parquet", tmp_path / "file")
    said["all"] = "SELECT s, a, l, taken FROM t"
    found = []
    for engine in (duck, spark):
        engine.bind("t", parquet_of(store, ["a 1.parquet", "b.parquet", "c.parquet"], wanted))
        found.append(engine.run("all").read_all())
    assert lines(found[1]) == lines(found[0]) and len(found[0]) == 2 * len(table)
    assert found[1].schema == found[0].schema and found[0].schema.field("taken").type.tz == "UTC"
    for engine in (duck, spark):
        engine.bind("t", parquet_of(store, [], wanted))
        assert len(engine.run("all").read_all()) == 0


def some_rows(number: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, number, 2):
        yield pa.record_batch({"k": [start, number]})


def test_tables_may_be_generated_or_local_files(
    duck: Engine, spark: Engine, said: dict[str, str], tmp_path: Path
) -> None:
    made = GeneratedTable(pa.schema([("k", pa.int64())]), [0, 1, 5, 4], some_rows)
    pq.write_table(SMALL.table("mixed"), tmp_path / "u.parquet")
    said["joined"] = "SELECT t.k, u.v FROM t INNER JOIN u ON t.k = u.k UNION ALL SELECT k, NULL AS v FROM t"
    found = []
    for engine in (duck, spark):
        engine.bind("t", made)
        engine.bind("u", ds.dataset(tmp_path / "u.parquet"))
        found.append(lines(engine.run("joined").read_all()))
    assert found[0] == found[1] and len(found[0]) > 12


def test_a_kept_table_stays_as_it_was(duck: Engine, spark: Engine, said: dict[str, str]) -> None:
    said["grow"] = "SELECT k, v + 1 AS v FROM x"
    for engine in (duck, spark):
        engine.bind("x", pa.table({"k": [1, 2], "v": [1, 1]}))
        engine.keep("once", "grow")
        engine.bind("x", pa.table({"k": [9], "v": [9]}))
        said["see"] = "SELECT k, v FROM once ORDER BY k"
        assert engine.run("see").read_all().to_pylist() == [{"k": 1, "v": 2}, {"k": 2, "v": 2}]
        said["again"] = "SELECT k, v + 1 AS v FROM once"
        engine.keep("twice", "again")
        engine.keep("twice", "again")
        said["see"] = "SELECT k, v FROM twice ORDER BY k DESC"
        assert engine.run("see").read_all().to_pylist() == [{"k": 2, "v": 3}, {"k": 1, "v": 3}]


def test_results_are_saved_by_tasks(duck: Engine, spark: Engine, said: dict[str, str], tmp_path: Path) -> None:
    """Whole, and divided by parts: the same objects with the same rows in the same order."""
    wanted = pa.schema([("row_id", pa.int64()), ("part", pa.int32()), ("s", pa.string())])
    rows = {"row_id": range(3000), "part": pa.array([n * 37 % 50 for n in range(3000)], pa.int32()), "s": ["x"] * 3000}
    said["all"] = "SELECT row_id, part, s FROM t"
    found = []
    for name, engine in (("duck", duck), ("spark", spark)):
        store = Store(str(tmp_path / f"{name}-store"))
        engine.bind_once("t", pa.table(rows, wanted))
        with pytest.MonkeyPatch.context() as patch:
            if engine is spark:
                patch.delattr(Store, "put")  # of this process; tasks have their own
            names = engine.save("all", wanted, store, "whole-{:03d}".format)
            numbers = engine.save_divided("all", wanted, store, "some-{:03d}".format, 7)
        assert sorted(store.names("")) == sorted([*names, *(f"some-{number:03d}" for number in numbers)])
        assert lines(parquet_of(store, names, wanted).dataset().to_table()) == lines(pa.table(rows, wanted))
        divided = [list(parquet_of(store, [f"some-{n:03d}"], wanted).batches(f"some-{n:03d}")) for n in numbers]
        found.append([pa.Table.from_batches(batches).to_pydict() for batches in divided])
    assert found[0] == found[1] and len(found[0]) == 8


def test_results_come_in_bounded_batches_and_in_order(spark: Engine, said: dict[str, str]) -> None:
    rows = 140_000
    keys = pa.array([(n * 7919) % rows for n in range(rows)], pa.int64())
    spark.bind("big", pa.table({"k": keys, "text": pa.array(["n" * 20] * rows)}))
    said["sorted"] = "SELECT k, text FROM big ORDER BY k DESC"
    seen, sizes = rows, []
    for batch in spark.run("sorted"):
        sizes.append(len(batch))
        found = batch["k"].to_pylist()
        assert found == list(range(seen - 1, seen - 1 - len(found), -1))
        seen -= len(found)
    assert seen == 0 and max(sizes) <= 1 << 16 and len(sizes) > 2


def gone(number: int) -> Iterator[pa.RecordBatch]:
    raise StoreError(f"no access to {number}", "memory://somewhere", "mend it")


def test_what_a_task_finds_broken_is_raised_here(spark: Engine, said: dict[str, str]) -> None:
    said["any"] = "SELECT k FROM t"
    spark.bind("t", GeneratedTable(pa.schema([("k", pa.int64())]), [3], gone))
    with pytest.raises(StoreError, match=r"no access to 3 \(memory://somewhere\): mend it") as raised:
        spark.run("any").read_all()
    assert "statement any" in str(raised.value)


def test_a_mistake_in_a_statement_stays_an_error_of_spark(spark: Engine, said: dict[str, str]) -> None:
    from pyspark.errors import AnalysisException

    said["wrong"] = "SELECT k FROM there_is_no_such_table"
    with pytest.raises(AnalysisException, match="there_is_no_such_table"):
        spark.run("wrong")


def environment_of_worker(_: int) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pydict({"value": [os.environ.get("AWS_TEST_ONLY")]}, pa.schema([("value", pa.string())]))


def test_local_workers_have_the_settings_of_stores_of_now(
    one_spark: OneSpark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Java, and a session, may have been started before they were set."""
    found = []
    for value in ("one", "two", None):
        monkeypatch.delenv("AWS_TEST_ONLY", raising=False)
        if value is not None:
            monkeypatch.setenv("AWS_TEST_ONLY", value)
        with closing(one_spark.cluster(tmp_path / "scratch")) as cluster:
            frame = cluster.frame(pa.schema([("value", pa.string())]), [0], environment_of_worker)
            found += [row["value"] for row in frame.collect()]
    assert found == ["one", "two", None]
