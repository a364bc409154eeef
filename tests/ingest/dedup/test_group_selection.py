"""The selection of a group: it opens only its own objects, and a file that is there under the same stamp stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.dedup.group_selection import (
    DROPPED,
    SELECTION,
    STAMP,
    GroupTask,
    counts_of,
    read_group,
    select_group,
)
from tagmill.ingest.engines.engine import parquet_of
from tagmill.ingest.layout import selection_file
from tagmill.shards.errors import CorpusError
from tagmill.shards.storage.store import Store
from tests.ingest.dedup.factfiles import put_facts

PARTS, ROWS = 6, 40  # of each part


def rows() -> list[dict[str, Any]]:
    """The first row of a part failed, the second has the URL of another row; row ids are in another order than places."""
    made = []
    for part in range(PARTS):
        for place in range(ROWS):
            row = {"row_id": 1000 - (part * ROWS + place) * 3, "part": part, "place": place, "sample_bytes": 512}
            reason = {0: "not_found", 1: "duplicate"}.get(place)
            made.append({**row, "key": None if place == 0 else f"k{part}-{place}", "reason": reason})
    return made


def decisions() -> list[dict[str, Any]]:
    """Of each part the third row is dropped, the fourth is held out."""
    lines = []
    for part in range(PARTS):
        first = part * ROWS
        lines.append({"row_id": 1000 - 3 * (first + 2), "part": part, "reason": "near_duplicate", "yields_to": "best"})
        lines.append({"row_id": 1000 - 3 * (first + 3), "part": part, "reason": None, "yields_to": None})
    return lines


@pytest.fixture
def task(tmp_path: Path) -> GroupTask:
    """Group 1, of parts 2 and 3; decisions in row groups of one part each."""
    store = Store(str(tmp_path / "store"))
    facts = put_facts(store, rows(), PARTS)
    pq.write_table(pa.Table.from_pylist(decisions(), DROPPED), tmp_path / "decided", row_group_size=2)
    store.put("decided", tmp_path / "decided")
    decided = parquet_of(store, ["decided"], DROPPED)
    return GroupTask(store, 1, 2, 4, facts.slice(2, 4), decided, "s", there=False)


def test_each_row_has_its_outcome(task: GroupTask, tmp_path: Path) -> None:
    made, counts = select_group(task, tmp_path)
    splits, reasons = {"holdout": 2, "train": 72}, {"duplicate": 2, "near_duplicate": 2, "not_found": 2}
    assert counts_of(made) == (splits, reasons) and counts == {"ok": 74, **reasons}
    with task.store.open(selection_file(1)) as file:
        table = pq.ParquetFile(file).read()
    assert table.schema.equals(SELECTION) and table.schema.metadata[STAMP] == b"s"
    assert [(row["part"], row["place"]) for row in table.to_pylist()] == [(p, n) for p in (2, 3) for n in range(ROWS)]
    expected = {place: (f"k2-{place}", "train", None, None) for place in range(ROWS)}
    expected |= {0: (None, None, "not_found", None), 1: (None, None, "duplicate", "k2-1")}
    expected |= {2: ("k2-2", None, "near_duplicate", "best"), 3: ("k2-3", "holdout", None, None)}
    columns = ("key", "split", "reason", "yields_to")
    found = {row["place"]: tuple(row[name] for name in columns) for row in table.to_pylist()[:ROWS]}
    assert found == expected


def test_only_objects_of_the_group_are_opened(task: GroupTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, row_groups = [], []
    opens, reads = Store.open, pq.ParquetFile.read_row_groups

    @contextmanager
    def recording(self: Store, name: str) -> Iterator[BinaryIO]:
        opened.append(name)
        with opens(self, name) as file:
            yield file

    monkeypatch.setattr(Store, "open", recording)
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, **k: row_groups.extend(groups) or reads(self, groups, **k),
    )
    select_group(task, tmp_path)
    assert sorted(opened) == ["decided", "facts/000002.parquet", "facts/000003.parquet"]
    assert row_groups == [2, 3]


def test_a_file_that_is_there_is_kept_under_its_stamp_only(task: GroupTask, tmp_path: Path) -> None:
    made = select_group(task, tmp_path)
    for name in (*task.facts.names, "decided"):
        task.store.delete(name)
    assert select_group(replace(task, there=True), tmp_path) == made
    with pytest.raises(FileNotFoundError):
        select_group(replace(task, there=True, stamp="other"), tmp_path)
    assert read_group(task.store, 1, ["key"], "s").num_rows == 2 * ROWS
    with pytest.raises(CorpusError, match="another run selects here"):
        read_group(task.store, 1, ["key"], "other")


def test_without_decisions_images_become_samples(task: GroupTask, tmp_path: Path) -> None:
    made, _ = select_group(replace(task, decided=task.decided.slice(0, 0)), tmp_path)
    assert counts_of(made) == ({"train": 76}, {"duplicate": 2, "not_found": 2})
    made, _ = select_group(replace(task, group=5, facts=task.facts.slice(0, 0)), tmp_path)
    assert counts_of(made) == ({}, {}) and read_group(task.store, 5, SELECTION.names, "s").num_rows == 0
