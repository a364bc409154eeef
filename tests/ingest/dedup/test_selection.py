"""The selection against a brute force in Python, and its files by pack group. test_selection_kills.py has killed ones."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.dedup.group_selection import SELECTION, read_group
from tagmill.ingest.dedup.selection import Divisions, Selected, select
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import parquet_of
from tagmill.ingest.layout import selection_file
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.storage.store import Store
from tests.ingest.dedup.factfiles import FACTS

NUM_PARTS = 4


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    engine = DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


@st.composite
def facts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of a few parts; pictures with few keys, so that groups are large, and some sides near the limit of int32."""
    ids = draw(st.lists(st.integers(0, 1 << 62), unique=True, max_size=30))
    places = [0] * NUM_PARTS
    rows = []
    for row_id in ids:
        part = draw(st.integers(0, NUM_PARTS - 1))
        key = draw(st.one_of(st.none(), st.sampled_from("abcdefgh")))
        rows.append(
            {
                "row_id": row_id,
                "part": part,
                "place": places[part],
                "reason": None if key else draw(st.sampled_from(["not_found", "timeout"])),
                "key": key,
                "original_width": draw(st.sampled_from([1, 2, 60_000])) if key else None,
                "original_height": draw(st.sampled_from([2, 60_000])) if key else None,
                "sample_bytes": draw(st.integers(1, 9)) * 512 if key else None,
                "holdout_order": (ord(key) * 7919) % 5 - 2 if key else None,
            }
        )
        places[part] += 1
    return rows


def brute_force(rows: list[dict[str, Any]], holdout: int) -> list[tuple[Any, ...]]:
    pictures = [row for row in rows if row["reason"] is None]
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(pictures, key=lambda row: (-row["original_width"] * row["original_height"], row["row_id"])):
        best.setdefault(row["key"], row)
    out = sorted(best.values(), key=lambda row: (row["holdout_order"], row["key"]))[:holdout]
    heldout = {row["row_id"] for row in out}
    lines = []
    for row in sorted(rows, key=lambda row: (row["part"], row["place"])):
        keeps = row["reason"] is None and best[row["key"]] is row
        split = ("holdout" if row["row_id"] in heldout else "train") if keeps else None
        duplicate = row["reason"] is None and not keeps
        reason = "duplicate" if duplicate else row["reason"]
        decided = (split, reason, row["key"] if duplicate else None)
        lines.append((row["row_id"], row["part"], row["place"], row["key"], row["sample_bytes"], *decided))
    return lines


@settings(max_examples=25, deadline=None)
@given(rows=facts(), holdout=st.integers(0, 4), parts_per_group=st.integers(1, 5))
def test_the_selection_is_the_brute_force_one(
    engine: DuckDB, rows: list[dict[str, Any]], holdout: int, parts_per_group: int
) -> None:
    expected = brute_force(rows, holdout)
    splits = [line[5] for line in expected if line[5]]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/corpus")
        table = pa.Table.from_pylist(rows, FACTS)

        def run() -> Selected:
            kwargs = {"rows": len(rows), "num_parts": NUM_PARTS, "parts_per_group": parts_per_group, "holdout": holdout}
            return select(engine, store, table, spool=Path(folder), **kwargs)

        if splits and set(splits) == {"holdout"}:
            with pytest.raises(ConfigError, match="takes all"):
                run()
            return
        selected = run()
        assert selected.rows == len(rows)
        assert selected.splits == {name: splits.count(name) for name in ("train", "holdout")}
        reasons = [line[6] for line in expected if line[6]]
        assert selected.reasons == {reason: reasons.count(reason) for reason in set(reasons)}
        groups = Divisions(len(rows), NUM_PARTS, parts_per_group).num_groups
        assert store.names("parts/selection") == [*map(selection_file, range(groups)), "parts/selection/done.json"]
        for group in range(groups):
            of_group = pq.read_table(Path(folder, "corpus", selection_file(group)))
            assert of_group.schema.equals(SELECTION)
            lines = [tuple(row.values()) for row in of_group.to_pylist()]
            assert lines == [line for line in expected if line[1] // parts_per_group == group]
        files = [selection_file(group) for group in range(groups)]
        assert parquet_of(store, files, SELECTION).dataset().count_rows() == len(rows)


def test_a_selection_that_is_there_is_kept(engine: DuckDB, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "corpus"))
    store.put("parts/selection/done.json", json.dumps(asdict(Selected(7, {}, {"empty": 7}))).encode())
    given = (engine, store, FACTS.empty_table())
    selected = select(*given, rows=0, num_parts=1, parts_per_group=1, holdout=0, spool=tmp_path)
    assert selected == Selected(7, {}, {"empty": 7})


def test_a_selection_of_another_stamp_is_made_again_without_what_was_there(engine: DuckDB, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "corpus"))
    store.put("parts/selection/done.json", json.dumps(asdict(Selected(7, {}, {"empty": 7}, stamp="old"))).encode())
    for name in ("parts/selection/000007.parquet", "parts/sets/edges.parquet", "decontamination.parquet"):
        store.put(name, b"of before")
    given = (engine, store, FACTS.empty_table())
    selected = select(*given, rows=0, num_parts=1, parts_per_group=1, holdout=0, spool=tmp_path, stamp="new")
    assert (selected.rows, selected.stamp) == (0, "new")
    assert store.names("") == ["parts/selection/000000.parquet", "parts/selection/done.json"]
    assert read_group(store, 0, ["key"], "new").num_rows == 0
    with pytest.raises(CorpusError, match="another run selects here"):
        read_group(store, 0, ["key"], "old")


def test_larger_pictures_win_beyond_32_bits(engine: DuckDB, tmp_path: Path) -> None:
    """60,000 x 60,000 pixels are more than 2^31."""
    same = {"part": 0, "reason": None, "key": "k", "sample_bytes": 512, "holdout_order": 0}
    sides = [(2, 2), (60_000, 60_000)]
    rows = [
        {**same, "row_id": i, "place": i, "original_width": w, "original_height": h} for i, (w, h) in enumerate(sides)
    ]
    store = Store(str(tmp_path / "corpus"))
    table = pa.Table.from_pylist(rows, FACTS)
    select(engine, store, table, rows=2, num_parts=1, parts_per_group=1, holdout=0, spool=tmp_path)
    assert pq.read_table(tmp_path / "corpus" / selection_file(0))["split"].to_pylist() == [None, "train"]
