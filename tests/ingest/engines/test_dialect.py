"""The shared subset: every statement of the package is inside, and constructs that differ between engines are outside."""

from pathlib import Path

import pytest

pytest.importorskip("sqlglot")

from tagmill.ingest.engines.dialect import faults, to_spark

STATEMENTS = sorted((Path(__file__).parents[3] / "ingest" / "engines" / "sql").glob("*.sql"))
OUTSIDE = {
    "ORDER BY inside an aggregate": [
        "SELECT list(a ORDER BY b) AS l FROM t",
        "SELECT COUNT(a ORDER BY b) AS n FROM t",
        "SELECT string_agg(a, ',' ORDER BY a) AS l FROM t",
    ],
    "only tables that the engine binds": [
        "SELECT a FROM 'x.parquet'",
        "SELECT a FROM read_parquet('x')",
        "SELECT a FROM range(10) AS t(a)",
        "SELECT a FROM s.t",
    ],
    "is not one query": ["COPY t TO 'x'", "SELECT a FROM t; SELECT a FROM t", "ATTACH 'x'", "INSTALL httpfs"],
    "does not parse": ["SELECT FROM WHERE"],
    "is outside": [
        *("SELECT a / 2 AS h FROM t", "SELECT a // 2 AS h FROM t", "SELECT a % 2 AS h FROM t"),
        *("SELECT a ^ 2 AS h FROM t", "SELECT a ** 2 AS h FROM t", "SELECT a << 2 AS h FROM t"),
        *("SELECT len(l) AS n FROM t", "SELECT random() AS r FROM t", "SELECT AVG(a) AS m FROM t"),
        *("SELECT ANY_VALUE(a) AS x FROM t", "SELECT a FROM t WHERE s LIKE 'x%'", "SELECT l[1] AS x FROM t"),
        *("SELECT a FROM t TABLESAMPLE 10%", "SELECT a FROM t USING SAMPLE 10", "SELECT a FROM t ORDER BY ALL"),
        *("SELECT list(a) AS l FROM t", "SELECT COUNT(*) FILTER (WHERE a > 1) AS n FROM t"),
        *("SELECT a FROM t ORDER BY a LIMIT 5 OFFSET 2", "SELECT COLUMNS('a') FROM t", "SELECT lower(s) AS s FROM t"),
    ],
    "the function": ["SELECT hash(a) AS h FROM t", "SELECT now() AS n FROM t", "SELECT my_function(a) AS n FROM t"],
    "cast its result": [
        *(
            "SELECT bit_count(a) AS n FROM t",
            "SELECT cardinality(l) AS n FROM t",
            "SELECT bit_count(a) + 1 AS n FROM t",
        ),
        *("SELECT SUM(CAST(a AS BIGINT)) AS s FROM t", "SELECT CAST(bit_count(a) AS VARCHAR) AS s FROM t"),
        "SELECT ROW_NUMBER() OVER (ORDER BY a) AS n FROM t",
        "SELECT a FROM t GROUP BY a HAVING SUM(CAST(a AS BIGINT)) > 1",
    ],
    "cast what is summed": ["SELECT CAST(SUM(a) AS BIGINT) AS s FROM t"],
    "no cast to this type": ["SELECT CAST(a AS DOUBLE) AS d FROM t", "SELECT TRY_CAST(a AS BIGINT) AS b FROM t"],
    "only whole numbers": ["SELECT 0.5 AS h FROM t", "SELECT 1e3 AS h FROM t"],
    "cast what is shifted": ["SELECT a >> 40 AS h FROM t", "SELECT a >> $n AS h FROM t"],
    "shift by a number": ["SELECT a >> b AS h FROM t", "SELECT CAST(a AS BIGINT) >> 64 AS h FROM t"],
    "name the columns": ["SELECT * FROM t", "SELECT t.* FROM t", "FROM t"],
    "LIMIT without ORDER BY": ["SELECT a FROM t LIMIT 5", "SELECT a FROM t WHERE a IN (SELECT a FROM u LIMIT 1)"],
    "order by names": ["SELECT a FROM t ORDER BY 1"],
    "group by names": ["SELECT a, COUNT(*) AS n FROM t GROUP BY 1", "SELECT a FROM t GROUP BY ALL"],
    "UNNEST": [
        "SELECT a, i FROM t CROSS JOIN UNNEST(t.l) AS u(i)",
        "SELECT UNNEST(l) AS a, UNNEST(l) AS b FROM t",
        "SELECT UNNEST([1, 2]) AS a FROM t",
        "SELECT UNNEST(l) FROM t",
    ],
    "a window whose order decides": [
        "SELECT FIRST_VALUE(a) OVER (PARTITION BY b) AS f FROM t",
        "SELECT CAST(ROW_NUMBER() OVER () AS BIGINT) AS n FROM t",
    ],
    "say nothing about nulls": ["SELECT FIRST_VALUE(a IGNORE NULLS) OVER (ORDER BY a) AS f FROM t"],
    "QUALIFY where a column has no name": ["SELECT a + 1 FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1"],
    "DISTINCT ON": ["SELECT DISTINCT ON (a) a, b FROM t"],
    "no join of this kind": [
        "SELECT a FROM t ASOF JOIN u ON t.a >= u.a",
        "SELECT a FROM t POSITIONAL JOIN u",
        "SELECT a FROM t NATURAL JOIN u",
    ],
    "no RECURSIVE": [
        "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 AS a FROM r) SELECT a FROM r",
        "SELECT a FROM t UNION ALL BY NAME SELECT a FROM u",
    ],
    "the extreme alone": ["SELECT MIN(a, 2) AS l FROM t"],
}


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_every_statement_is_inside(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in OUTSIDE.items() for text in texts])
def test_constructs_that_differ_are_refused_with_a_reason(why: str, text: str) -> None:
    assert any(why in fault for fault in faults(text)), faults(text)


def test_parameters_and_nulls_reach_sparks_dialect() -> None:
    text = to_spark("-- a note; with a semicolon\nSELECT a FROM t WHERE b = $b ORDER BY a, c DESC LIMIT $n")
    assert text == "SELECT a FROM t WHERE b = :b ORDER BY a NULLS LAST, c DESC LIMIT :n"
    assert to_spark(r"SELECT '\' || s AS x FROM t") == r"SELECT '\\' || s AS x FROM t"
