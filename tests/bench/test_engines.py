"""Tests that the comparison of the engines runs at a small size and detects a difference."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from tagmill.bench import engines
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.executor import Executor, open_executor
from tests.ingest.java import needs_spark

OTHERS = ["duckdb"]  # what takes the place of Spark
if os.environ.get("TAGMILL_WHOLE"):  # tests/ingest/dedup/test_selection_engines.py compares the engines
    OTHERS.append(pytest.param("spark", marks=needs_spark))


def test_digests_depend_on_rows_and_types_but_not_on_order() -> None:
    table = engines.facts(0, 500)
    backwards = table.take(list(range(499, -1, -1)))
    assert engines.digest(table.drop_columns("tags")) == engines.digest(backwards.drop_columns("tags"))
    other = table.drop_columns("tags").slice(1)
    assert engines.digest(other) != engines.digest(table.drop_columns("tags"))
    copies = table.filter(engines.is_copy(table["row_id"].to_numpy()))
    pictures = {engines.hashlib.sha256(b"%d" % number).hexdigest()[:32] for number in range(0, 500, 10)}
    assert len(copies) == 50 and set(copies["key"].drop_null().to_pylist()) <= pictures


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("other", OTHERS)
def test_both_give_the_same_tables(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: Literal["duckdb", "spark"],
) -> None:
    opened: list[str] = []

    def open_as(settings: IngestConfig, scratch: Path) -> Executor:
        opened.append(settings.engine)
        return open_executor(replace(settings, engine=other) if settings.engine == "spark" else settings, scratch)

    monkeypatch.setattr(engines, "open_executor", open_as)
    words = ["--rows", "3000", "--memory-limit", "1GB", "--out", str(tmp_path / "out.json")]
    monkeypatch.setattr(sys, "argv", ["engines.py", *words])
    engines.main()
    assert opened == ["duckdb", "spark"]
    found = json.loads((tmp_path / "out.json").read_text())
    assert {"exact", "near", "dropped", "evaluation_keys", "split", "decided", "union"} <= set(found["identical"])
    assert all(found["identical"].values()) and "DIFFERENT" not in capsys.readouterr().out
    rows = found["result_rows"]
    assert rows["decided"] == rows["dropped"] + rows["split"]
    assert rows["union"] > 100 and rows["evaluation_keys"] > 300 and rows["near"] > 50
