"""Tests that the comparison of the engines runs at a small size and detects a difference."""

import json
import sys
from pathlib import Path

import pytest

from tagmill.bench import engines
from tests.ingest.java import needs_spark


def test_digests_depend_on_rows_and_types_but_not_on_order() -> None:
    table = engines.facts(0, 500)
    backwards = table.take(list(range(499, -1, -1)))
    assert engines.digest(table.drop_columns("tags")) == engines.digest(backwards.drop_columns("tags"))
    other = table.drop_columns("tags").slice(1)
    assert engines.digest(other) != engines.digest(table.drop_columns("tags"))
    copies = table.filter(engines.is_copy(table["row_id"].to_numpy()))
    pictures = {engines.hashlib.sha256(b"%d" % number).hexdigest()[:32] for number in range(0, 500, 10)}
    assert len(copies) == 50 and set(copies["key"].drop_null().to_pylist()) <= pictures


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_give_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--rows", "3000", "--memory-limit", "1GB", "--out", str(tmp_path / "out.json")]
    monkeypatch.setattr(sys, "argv", ["engines.py", *words])
    engines.main()
    found = json.loads((tmp_path / "out.json").read_text())
    assert {"exact", "near", "dropped", "evaluation_keys", "split", "decided", "union"} <= set(found["identical"])
    assert all(found["identical"].values()) and "DIFFERENT" not in capsys.readouterr().out
    rows = found["result_rows"]
    assert rows["decided"] == rows["dropped"] + rows["split"]
    assert rows["union"] > 100 and rows["evaluation_keys"] > 300 and rows["near"] > 50
