"""The table of a run's input files: lists with digests of their bytes, tars with those of their listing."""

import hashlib
import logging
from pathlib import Path

import pytest

from tagmill.ingest.layout import INPUTS_FILE
from tagmill.ingest.parts import input_files
from tagmill.ingest.parts.input_files import Noticed, put_input_files
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import Input
from tagmill.ingest.sources.samples import Listing
from tagmill.shards.errors import StoreError
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.input_table import INPUTS, InputTotals
from tagmill.shards.storage.store import Store
from tests.shards.countedstore import counted_store


def lists(number: int) -> list[Input]:
    return [Input(f"s3://lists/{ordinal:03d}.csv", "lists") for ordinal in range(number)]


def test_every_file_has_a_line_and_the_run_their_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(input_files, "FILES_PER_GROUP", 2)
    (tmp_path / "a.csv").write_bytes(b"url\n1\n")
    listing = Listing()
    listing.bytes = 10_240
    listing.add(b"0.jpg", 512, 3)
    listing.end()
    files = [
        Input(str(tmp_path / "a.csv"), "lists"),
        Input("s3://x/b.tar", "tars", "b.tar"),
        Input("s3://x/c", "files"),
    ]
    warnings = [InputWarnings(skipped=2, replaced=1), InputWarnings(), InputWarnings(joined=4)]
    noticed = Noticed({0: 7, 2: 1}, dict(enumerate(warnings)), {1: listing, 2: Listing()})
    store = Store(str(tmp_path / "corpus"))
    with caplog.at_level(logging.WARNING):
        assert put_input_files(store, tmp_path, files, noticed) == InputTotals(3, 8, 10_246, 2)
    table = read_table(store.read(INPUTS_FILE))
    assert table.schema == INPUTS
    found = {column: table[column].to_pylist() for column in INPUTS.names}
    assert found["name"] == [each.url for each in files] and found["kind"] == ["lists", "tars", "files"]
    assert found["bytes"] == [6, 10_240, 0] and found["rows"] == [7, 0, 1]
    assert found["sha256"] == [hashlib.sha256(b"url\n1\n").hexdigest(), None, None]
    assert found["listing_sha256"] == [None, listing.sha256, Listing().sha256]
    assert [found[name] for name in ("skipped", "replaced_rows", "joined_lines")] == [[2, 0, 0], [1, 0, 0], [0, 0, 4]]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [str(tmp_path / "a.csv"), "s3"]


def test_lists_in_a_store_are_read_together_and_come_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, files = counted_store(monkeypatch), lists(40)
    driver.objects = {f"{ordinal:03d}.csv": bytes(ordinal) for ordinal in range(40)}
    driver.together, driver.gated = input_files.FILES_AT_ONCE, "range "
    noticed = Noticed({}, {ordinal: InputWarnings() for ordinal in range(40)}, {})
    store = Store(str(tmp_path / "corpus"))
    assert put_input_files(store, tmp_path, files, noticed) == InputTotals(40, 0, sum(range(40)), 0)
    assert read_table(store.read(INPUTS_FILE))["bytes"].to_pylist() == list(range(40))
    driver.fail.add("020.csv")
    with pytest.raises(StoreError, match=r"020\.csv"):
        put_input_files(store, tmp_path, files, noticed)
