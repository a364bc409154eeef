"""Images under many URLs: which of them are placeholders, and what is reported of the others."""

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.dedup.placeholders import AGREEING, CROWDS_REPORTED, FLOOR, SHARE, TAGGED, Crowd, find_crowds
from tagmill.ingest.engines.duckdb import DuckDB

EXACT = pa.schema([("row_id", pa.int64()), ("key", pa.string()), ("keeper", pa.int64())])
KNOWN = pa.schema([("row_id", pa.int64()), ("key", pa.string())])
FACTS = pa.schema([("row_id", pa.int64()), ("url", pa.string())])
Row = tuple[str, str, list[str]]  # key, URL, tags


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    engine = DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


def crowds_of(
    engine: DuckDB, rows: list[Row], limit: int, more: int = 0, known: str = "", *, tagged: bool = True
) -> tuple[set[str], list[Crowd]]:
    """Returns (keys of the placeholders, what is reported) for rows and `more` others."""
    first: dict[str, int] = {}
    lines = [
        {"row_id": number, "key": key, "keeper": first.setdefault(key, number), "url": url, "tags": tags}
        for number, (key, url, tags) in enumerate(rows)
    ]
    rest = [{"row_id": number, "url": f"other{number}"} for number in range(len(rows), len(rows) + more)]
    engine.bind("exact", pa.Table.from_pylist(lines, EXACT))
    engine.bind("facts", pa.Table.from_pylist([*lines, *rest], FACTS))
    engine.bind("known", pa.Table.from_pylist([line for line in lines if line["key"] == known], KNOWN))
    found, told = find_crowds(engine, limit, pa.Table.from_pylist(lines, TAGGED) if tagged else None, len(rows) + more)
    keys = {keeper: key for key, keeper in first.items()}
    return {keys[keeper] for keeper in found["keeper"].to_pylist()}, told


def removed(number: int, key: str = "a") -> list[Row]:
    """So many URLs that lead to one picture, each with other tags."""
    return [(key, f"{key}{each}", [f"{key}{each}", "x" * each]) for each in range(number)]


def posted(number: int, key: str = "b") -> list[Row]:
    """So many URLs of one photograph, of which a third have a word in common."""
    return [(key, f"{key}{each}", [f"{key}{each}", *["cat"] * (each % 3 == 0)]) for each in range(number)]


def test_a_short_list_has_placeholders_too(engine: DuckDB) -> None:
    """12 dead links of 14 rows, which `placeholder_urls` alone would never find."""
    placeholders, told = crowds_of(engine, removed(12), 1000, more=2)
    assert placeholders == {"a"} and told == [Crowd("a", 12, 12, 24, 1, left_out=True)]


def test_a_photograph_that_was_posted_often_is_kept_and_reported(engine: DuckDB) -> None:
    placeholders, told = crowds_of(engine, [*posted(12), *removed(11)], 1000)
    assert placeholders == {"a"}
    assert told == [Crowd("b", 12, 12, 13, 4, left_out=False), Crowd("a", 11, 11, 22, 1, left_out=True)]


@pytest.mark.parametrize(
    ("urls", "rows", "limit", "gone", "is_told"),
    [
        *[(FLOOR - 1, 20, 1000, False, False), (FLOOR, 20, 1000, True, True), (FLOOR, 10_999, 1000, True, True)],
        *[(FLOOR, 11_000, 1000, False, True), (11, 11_000, 1000, True, True), (12, 20, 0, False, True)],
        *[
            (12, 20, 12, True, False),
            (12, 20, 2, True, False),
            (30, 40_000, 30, True, False),
            (29, 40_000, 30, False, True),
        ],
    ],
)
def test_the_limit_goes_by_the_size_of_the_list(
    engine: DuckDB, urls: int, rows: int, limit: int, gone: bool, is_told: bool
) -> None:
    placeholders, told = crowds_of(engine, removed(urls), limit, more=rows - urls)
    assert (placeholders, bool(told)) == ({"a"} if gone else set(), is_told)
    assert all(crowd.left_out == gone for crowd in told)


def test_without_tags_nothing_disagrees(engine: DuckDB) -> None:
    bare = [("a", f"u{each}", [f"t{each}"] if each < FLOOR - 1 else []) for each in range(50)]
    assert crowds_of(engine, bare, 1000) == (set(), [Crowd("a", 50, 9, 9, 1, left_out=False)])
    assert crowds_of(engine, removed(50), 1000, tagged=False) == (set(), [Crowd("a", 50, 0, 0, 0, left_out=False)])
    assert crowds_of(engine, removed(50), 50, tagged=False)[0] == {"a"}


def test_a_url_counts_once_however_many_rows_have_it(engine: DuckDB) -> None:
    again = [("a", f"u{each % 9}", [f"t{each}"]) for each in range(500)]
    assert crowds_of(engine, again, 1000) == (set(), [])
    rows = [*removed(12), *[("a", "a3", ["a3"])] * 400]
    assert crowds_of(engine, rows, 1000)[1] == [Crowd("a", 12, 12, 24, 1, left_out=True)]


def test_what_a_corpus_has_already_stays(engine: DuckDB) -> None:
    for limit in (5, 12, 1000):
        placeholders, told = crowds_of(engine, [*removed(12), *removed(20, "c")], limit, known="a")
        assert placeholders == {"c"}
        assert [crowd.left_out for crowd in told if crowd.key == "a"] == [False]


def test_the_report_is_limited_and_all_are_dropped(engine: DuckDB) -> None:
    rows = [
        row for each in range(30) for row in [*removed(10 + each, f"r{each:02}-"), *posted(11 + each, f"p{each:02}-")]
    ]
    placeholders, told = crowds_of(engine, rows, 1000)
    assert len(placeholders) == 30 and len(told) == 2 * CROWDS_REPORTED
    assert (
        sum(crowd.left_out for crowd in told)
        == CROWDS_REPORTED
        == sum(crowd.urls >= 21 for crowd in told if not crowd.left_out)
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 30), limit=st.sampled_from([0, 2, 8, 12, 1000]))
def test_every_picture_has_the_fate_of_the_reference(engine: DuckDB, seed: int, limit: int) -> None:
    """Whatever the order of rows."""
    draw = np.random.default_rng(seed)
    rows = [
        (
            f"k{draw.integers(0, 8)}",
            f"u{draw.integers(0, 60)}",
            [f"t{each}" for each in draw.integers(0, 30, draw.integers(0, 3))],
        )
        for _ in range(300)
    ]
    expected, crowds = set(), []
    for key in {key for key, _, _ in rows}:
        urls = {url for other, url, _ in rows if other == key}
        pairs = {(tag, url) for other, url, tags in rows if other == key for tag in tags}
        names = [tag for tag, _ in pairs]
        tagged, commonest = len({url for _, url in pairs}), max(map(names.count, names), default=0)
        gone = bool(limit) and len(urls) >= FLOOR and tagged >= FLOOR and commonest * AGREEING < tagged
        expected |= {key} if gone or (limit and len(urls) >= limit) else set()
        if len(urls) >= FLOOR and not 0 < limit <= len(urls):
            crowds.append(Crowd(key, len(urls), tagged, len(set(names)), commonest, gone))
    found, told = crowds_of(engine, rows, limit)
    assert found == expected and sorted(map(astuple, told)) == sorted(map(astuple, crowds))
    assert len(rows) < SHARE
    shuffled = [rows[place] for place in draw.permutation(len(rows))]
    assert crowds_of(engine, shuffled, limit) == (found, told)


def test_nothing_is_read_where_no_picture_came_often(tmp_path: Path) -> None:
    engine = DuckDB(tmp_path / "engine", memory_limit="200MB", threads=1)
    assert crowds_of(engine, removed(3), 1000) == (set(), []) == crowds_of(engine, [], 0)
    engine.close()
