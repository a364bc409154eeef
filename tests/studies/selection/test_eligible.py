"""Held-out samples and those that are taken down may not be chosen; all others may."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tagmill.ingest.takedown.takedown_command import TakedownConfig, take_down
from tagmill.ingest.views.sample_locations import hex_keys
from tagmill.shards import Corpus
from tagmill.studies.selection.eligible import LEFT_OUT, left_out_table
from tests.ingest.tagged import make


def left_out(corpus: Corpus) -> list[str]:
    table = left_out_table(corpus)
    assert table.schema == LEFT_OUT
    return [key for item in table.items for batch in table.make(item) for key in batch["key"].to_pylist()]


def test_samples_that_may_not_be_chosen(tmp_path: Path) -> None:
    made = make(tmp_path, [[["a"]] * 3, [["b"]] * 2], [[["c"]] * 2])
    assert left_out(made.corpus) == made.keys[5:]
    (tmp_path / "list").write_text(f"{made.keys[1]}\n{made.keys[6]}\n")
    take_down(
        TakedownConfig(corpus=made.corpus.store.url, keys=str(tmp_path / "list")), datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert left_out(Corpus.open(made.corpus.store.url)) == [made.keys[1], *made.keys[5:]]


def test_keys_are_hex() -> None:
    keys = np.arange(32, dtype=np.uint8).reshape(2, 16)
    assert hex_keys(keys).to_pylist() == [bytes(range(16)).hex(), bytes(range(16, 32)).hex()]
