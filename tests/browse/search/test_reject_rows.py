"""Rows of rejects: pages join to all rows that may be shown, and none of the others is read out."""

from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.browse.search import reject_rows as module
from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.reject_rows import RejectPage, reject_rows
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot
from tagmill.ingest.filters.takedown_rules import rule
from tagmill.shards.errors import ConfigError
from tagmill.shards.purge import record
from tagmill.shards.side_tables import REJECTS
from tagmill.shards.takedown import SAMPLE, Row
from tests.shards.corpora import make_corpus, sample

GONE, KEPT = sample(2).record.key, sample(3).record.key


def row(number: int, reason: str, yields_to: str | None = None, url: str | None = None) -> dict[str, Any]:
    shown = {"row_id": number, "url": url or f"http://example.org/{number}", "reason": reason, "detail": None}
    return {**shown, "tags": ["a"] if yields_to else None, "yields_to": yields_to}


ROWS = [
    row(0, "timeout"),
    row(1, "duplicate", KEPT),
    row(2, "blocked", url="http://secret.example/"),
    row(3, "duplicate", GONE),
    row(4, "timeout", url="http://img.bad.example/x"),
    row(5, "taken_down"),
    row(6, "timeout"),
    row(7, "near_duplicate", KEPT),
]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A corpus with two tables of ROWS, and one that a later run began; sample 2 and a host are taken down."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = make_corpus(str(folder / "corpus"), folder / "spool")
    tables = folder / "corpus" / "rejects"
    tables.mkdir()
    for name in ("000000", "000001", "extend-000001-000000"):
        pq.write_table(pa.Table.from_pylist(ROWS, REJECTS), tables / f"{name}.parquet", row_group_size=3)
    host = rule("host", ".bad.example")
    rows = [Row(kind=SAMPLE, at="now", shard="000000", ordinal=2, value=GONE, by="key")]
    record(corpus, [*rows, Row(kind=host.kind, value=host.value, at="now")])
    return CorpusWatch(corpus.store.url, None).now()


def joined(snapshot: Snapshot, most: int, step: float, **asked: str) -> list[int]:
    ticks, cursor, found = count(), Cursor(), list[int]()
    page: RejectPage | None = None
    while page is None or page.after is not None:
        begin = cursor if page is None else page.after
        page = reject_rows(snapshot, begin or cursor, most, clock=lambda: step * next(ticks), **asked)  # type: ignore[arg-type]
        assert len(page.rows) <= most and (page.after is None or page.after > (begin or cursor))
        found += [each["row_id"] for each in page.rows]
    return found


@settings(max_examples=8)
@given(most=st.integers(1, 20), step=st.sampled_from([0.0, 10.0]), size=st.integers(1, 4))
@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"reason": "timeout"}, [0, 6]),
        ({"yields_to": KEPT}, [1, 7]),
        ({"yields_to": GONE}, []),
        ({"reason": "duplicate"}, [1]),
        ({}, [0, 1, 6, 7]),
    ],
    ids=str,
)
def test_pages_join_to_the_rows_that_may_be_shown(
    snapshot: Snapshot, asked: dict[str, str], rows: list[int], most: int, step: float, size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_READ", size)
        assert joined(snapshot, most, step, **asked) == rows * 2


@pytest.mark.parametrize("reason", ["blocked", "taken_down"])
def test_of_some_reasons_there_are_numbers_only(snapshot: Snapshot, reason: str) -> None:
    with pytest.raises(ConfigError, match="not shown"):
        reject_rows(snapshot, Cursor(), 10, reason=reason)


@pytest.mark.parametrize("content", [b"", b"PAR1PAR1", b"x" * 99])
def test_an_altered_table_is_named_and_the_others_are_read(tmp_path: Path, content: bytes) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    (tmp_path / "corpus" / "rejects").mkdir()
    (tmp_path / "corpus" / "rejects" / "000000.parquet").write_bytes(content)
    pq.write_table(pa.Table.from_pylist(ROWS, REJECTS), tmp_path / "corpus" / "rejects" / "000001.parquet")
    page = reject_rows(CorpusWatch(corpus.store.url, None).now(), Cursor(), 9, reason="timeout")
    assert [each["row_id"] for each in page.rows] == [0, 4, 6]
    assert len(page.errors) == 1 and "000000.parquet" in page.errors[0]
