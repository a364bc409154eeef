"""Rejects and ledger lose addresses and tags of what is purged, and nothing else."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.takedown.erase import erase
from tagmill.shards.side_tables import LEDGER, REJECTS
from tagmill.shards.storage.store import Store
from tests.shards.countedstore import counted_store

KEYS = {name: name * 32 for name in "abc"}
# url, reason, the key that it yields to
ROWS = [
    ("http://h/kept", None, None),
    ("http://h/copy", "duplicate", "a"),
    ("http://H:80/copy#again", "duplicate", "a"),
    ("http://h/other", "duplicate", "b"),
    ("http://h/lost", "not_found", None),
    ("http://bad/lost", "not_found", None),
    (None, "bad_url", None),
]


def put(store: Store, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), file, compression="zstd", store_schema=False)
    store.put(name, file.getvalue())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "corpus"))
    for half in (0, 1):
        rejects, ledger = [], []
        for number, (url, reason, to) in list(enumerate(ROWS))[half::2]:
            ledger.append({"row_id": number, "url": url, "status": reason or "ok", "http_status": 200, "host": "h"})
            ledger[-1] |= {"seconds": 0.5, "fetched_at": datetime(2026, 1, 2, tzinfo=UTC)}
            if reason:
                line = {"row_id": number, "url": url, "reason": reason, "detail": "said"}
                rejects.append({**line, "tags": ["t"] if to else None, "yields_to": KEYS[to] if to else None})
        put(store, f"rejects/{half:06d}.parquet", rejects, REJECTS)
        put(store, f"ledger/{half:06d}.parquet", ledger, LEDGER)
    return store


def rows(store: Store, folder: str) -> dict[int, dict[str, Any]]:
    tables = [pq.read_table(io.BytesIO(store.read(name))) for name in store.names(folder)]
    return {row["row_id"]: row for table in tables for row in table.to_pylist()}


def test_what_goes_and_what_stays(store: Store) -> None:
    before = {folder: rows(store, folder) for folder in ("rejects", "ledger")}
    schemas = {name: pq.read_schema(io.BytesIO(store.read(name))) for name in store.names("")}
    changed = erase(store, {KEYS["a"]}, {"http://h/kept"}, lambda url: url is not None and "bad" in url)
    assert changed == 7  # 0, 1, 2, 5 of the ledger, 1, 2, 5 of the rejects
    for number in range(len(ROWS)):
        gone = number in (0, 1, 2, 5)
        old, new = before["ledger"][number], rows(store, "ledger")[number]
        assert new == ({**old, "url": None, "host": None} if gone else old)
        if number:
            old, new = before["rejects"][number], rows(store, "rejects")[number]
            assert new == ({**old, "url": None, "detail": None, "tags": None} if gone else old)
    assert schemas == {name: pq.read_schema(io.BytesIO(store.read(name))) for name in store.names("")}


def test_done_again_it_changes_nothing_and_a_half_that_is_done_is_completed(store: Store) -> None:
    whole = {name: store.read(name) for name in store.names("")}
    arguments = ({KEYS["a"]}, {"http://h/kept"}, lambda url: False)
    erase(store, *arguments)
    after = {name: store.read(name) for name in store.names("")}
    assert erase(store, *arguments) == 0
    for name in whole:  # killed before this file was put
        order = sorted(whole, key=lambda each: (not each.startswith("ledger"), each))
        for late in order[order.index(name) :]:
            store.put(late, whole[late])
        erase(store, *arguments)
        assert {each: store.read(each) for each in whole} == after


def test_a_corpus_without_such_tables(tmp_path: Path) -> None:
    assert erase(Store(str(tmp_path)), {KEYS["a"]}, set(), lambda url: True) == 0


def test_tables_in_a_store_are_read_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = counted_store(monkeypatch)
    driver.objects = {name: store.read(name) for name in store.names("")}
    driver.together, driver.gated = 2, "read rejects/"
    asked = ({KEYS["a"]}, {"http://h/kept"}, lambda url: False)
    assert erase(Store("s3://corpus"), *asked) == erase(store, *asked) > 0
    assert driver.objects == {name: store.read(name) for name in store.names("")}
