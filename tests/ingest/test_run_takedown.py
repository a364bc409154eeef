"""An ingest takes in nothing that takedown lists forbid."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import ingest
from tagmill.ingest import run as runs
from tagmill.ingest.takedown import TakedownConfig, take_down
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus
from tests.ingest.smallweb import PICTURES, config, listing, web

__all__ = ["listing", "web"]  # fixtures


def test_what_was_taken_down_elsewhere_does_not_come_in(listing: str, web: str, tmp_path: Path) -> None:
    """One is forbidden by its URL; in another corpus a second was, whose bytes have another URL too."""
    before, lists = tmp_path / "before", tmp_path / "urls.txt"
    ingest(config(listing, before))
    assert "takedown_sha256" not in Corpus.open(str(before)).file.lineage[0]
    lists.write_text(f"{web}/copy1/4")
    take_down(TakedownConfig(corpus=str(before), urls=str(lists)), datetime.now(UTC))
    more = tmp_path / "more.txt"
    more.write_text(f"url {web}/picture/3\n")
    settings: dict[str, Any] = {"takedown": (str(before), str(more)), "failure_budget": 0.1}
    report = ingest(config(listing, tmp_path / "corpus", **settings))
    assert report.rejects["taken_down"] == 5  # three rows of 3, and both URLs of 4: one by its address, one by its key
    assert sum(report.samples.values()) == PICTURES - 2
    corpus = Corpus.open(str(tmp_path / "corpus"))
    tables = pa.concat_tables(pq.read_table(path) for path in sorted((tmp_path / "corpus/shards").glob("*.parquet")))
    assert not {3, 4} & set(tables["n"].to_pylist()) and len(tables) == PICTURES - 2
    for folder in ("rejects", "ledger"):
        rows = pa.concat_tables(
            pq.read_table(path) for path in sorted((tmp_path / "corpus" / folder).iterdir())
        ).to_pylist()
        gone = [row for row in rows if "taken_down" in (row.get("reason"), row.get("status"))]
        assert len(gone) == 5 and all(row["url"] is None for row in gone)
    (line,) = corpus.file.lineage
    assert len(line["takedown_sha256"]) == 64


def test_a_run_goes_on_under_the_lists_that_it_began_with(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists, output = tmp_path / "list.txt", tmp_path / "corpus"
    lists.write_text("host bad.example\n")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "select", lambda *args, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ingest(config(listing, output, takedown=(str(lists),)))
    lists.write_text("host worse.example\n")
    for other in ((str(lists),), ()):
        with pytest.raises(ConfigError, match="other takedown lists"):
            ingest(config(listing, output, takedown=other))
    lists.rename(tmp_path / "renamed.txt").write_text("# the same\nhost BAD.example\n")
    assert ingest(config(listing, output, takedown=(str(tmp_path / "renamed.txt"),))).samples["train"] == PICTURES - 5
