"""An ingest takes in nothing that takedown lists forbid."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import IngestConfig, ingest
from tagmill.ingest import run as runs
from tagmill.ingest.takedown.takedown_command import TakedownConfig, take_down
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tests.ingest.smallweb import PICTURES, config, listing, picture, web
from tests.ingest.test_run import digests

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


def killed_before_the_selection(wanted: IngestConfig) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "select", lambda *args, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ingest(wanted)


def test_a_list_never_shrinks_and_may_be_written_otherwise(listing: str, tmp_path: Path) -> None:
    lists, output = tmp_path / "list.txt", tmp_path / "corpus"
    lists.write_text("host bad.example\nhost ugly.example\n")
    killed_before_the_selection(config(listing, output, takedown=(str(lists),)))
    lists.write_text("host bad.example\n")
    for other, now in (((str(lists),), 1), ((), 0)):
        with pytest.raises(
            ConfigError, match=f"--takedown had 2 entries when this run began and has {now} now"
        ) as caught:
            ingest(config(listing, output, takedown=other))
        assert f"{2 - now} are missing, such as host" in str(caught.value)
    lists.rename(tmp_path / "renamed.txt").write_text("# the same\nhost UGLY.example\nhost BAD.example\n")
    assert ingest(config(listing, output, takedown=(str(tmp_path / "renamed.txt"),))).samples["train"] == PICTURES - 5


def test_lists_that_grow_while_a_run_goes_on_end_in_the_corpus_of_a_fresh_run(
    listing: str, web: str, tmp_path: Path
) -> None:
    """By the URL of a picture, and of one that is not there, by sha256 and by md5."""
    rules, hashes, output, fresh = (tmp_path / name for name in ("rules.txt", "hashes.txt", "corpus", "fresh"))
    rules.write_text("host bad.example\n")
    hashes.write_text(f"{hashlib.sha256(picture(20)).hexdigest()}\n")
    lists = {"takedown": (str(rules),), "blocklist": (str(hashes),), "failure_budget": 0.2}
    killed_before_the_selection(config(listing, output, **lists))
    with rules.open("a") as file:
        file.write(f"url {web}/picture/3\nurl {web}/gone\nsha256 {hashlib.sha256(picture(5)).hexdigest()}\n")
    with hashes.open("a") as file:
        file.write(f"{hashlib.sha256(picture(7)).hexdigest()}\n")
    killed_before_the_selection(config(listing, output, **lists))
    attempts = sorted(path.name for path in (output / "parts").glob("00*/*.parquet"))
    killed_before_the_selection(config(listing, output, **lists))  # nothing has changed
    assert sorted(path.name for path in (output / "parts").glob("00*/*.parquet")) == attempts
    with hashes.open("a") as file:
        file.write(f"{hashlib.md5(picture(9)).hexdigest()}\n")
    report = ingest(config(listing, output, **lists))
    assert report.rejects["taken_down"] == 5 and report.rejects["blocked"] == 3  # three rows have picture 3
    ingest(config(listing, fresh, **lists))
    assert digests(output) == digests(fresh)
    assert statuses(output) == statuses(fresh)
    assert Store(str(output)).names("") == Store(str(fresh)).names("")


def statuses(output: Path) -> dict[int, str]:
    tables = [pq.read_table(path) for path in sorted((output / "ledger").iterdir())]
    return {row["row_id"]: row["status"] for table in tables for row in table.to_pylist()}
