"""What a corpus knows of its exports: which samples they may have that were taken down since."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import CorpusError
from tagmill.shards.exchange.records import (
    ExportRecord,
    OutdatedExport,
    Recipe,
    outdated_exports,
    parts_of,
    put_record,
    safe_address,
)
from tagmill.shards.manifest import Corpus, Named, ShardEntry
from tests.shards.exchange.exports import corpus_in, exported
from tests.shards.purger import take_down

RECIPE = Recipe("parquet", Named("manifests/x", "0" * 64), "default", "1" * 64, ("train",), 7)
RECORD = ExportRecord("s3://bucket/out", RECIPE, "2026-01-02T03:04:05+00:00", Named("t", "2" * 64))


def entry(number: int, split: str, samples: int) -> ShardEntry:
    return ShardEntry(f"{number:06d}", split, samples, 1, "", "", "")


def test_a_record_is_what_was_written() -> None:
    assert ExportRecord.parse(RECORD.json(), "x") == RECORD
    assert RECORD.name == replace(RECORD, begun="later", finished="later", takedown=None).name
    assert RECORD.name != replace(RECORD, output="s3://bucket/other").name
    assert RECORD.name != replace(RECORD, recipe=replace(RECIPE, limit=8)).name


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"takedown": 1}', RECORD.json().replace(b"begun", b"b")]
)
def test_other_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(CorpusError, match="record"):
        ExportRecord.parse(data, "exports/x.json")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/data/out", "/data/out"),
        ("https://me:word@host:1/a?sig=secret#x", "https://host:1/a"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("az://c/a?sas=secret", "az://c/a"),
    ],
)
def test_an_address_shows_no_secret(url: str, shown: str) -> None:
    assert safe_address(url) == shown


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=8), st.none() | st.integers(1, 60), st.booleans())
def test_parts_are_the_first_samples_of_the_splits(
    shards: list[tuple[bool, int]], limit: int | None, both: bool
) -> None:
    entries = [entry(number, "holdout" if held else "train", count) for number, (held, count) in enumerate(shards)]
    splits = ("train", "holdout") if both else ("train",)
    found = parts_of(entries, splits, limit)
    samples = [(each.name, number) for each in entries if each.split in splits for number in range(each.samples)]
    assert [(p.entry.name, number) for p in found for number in range(p.samples)] == samples[:limit]
    for split in splits:
        assert [p.place for p in found if p.entry.split == split] == list(
            range(sum(p.entry.split == split for p in found))
        )
    assert all(entries[p.shard] == p.entry for p in found)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_in(tmp_path)


def test_a_takedown_names_the_exports_that_have_the_samples(corpus: Corpus, tmp_path: Path) -> None:
    exported(tmp_path, "parquet")
    exported(tmp_path, "img2dataset", splits=("holdout",))
    assert outdated_exports(corpus) == []
    listed = take_down(corpus, [("000000", 1), ("000001", 0)])
    assert outdated_exports(listed) == [OutdatedExport(str(tmp_path / "parquet"), 2)]
    listed = take_down(listed, [("holdout-000000", 2)])
    wanted = [OutdatedExport(str(tmp_path / "img2dataset"), 1), OutdatedExport(str(tmp_path / "parquet"), 3)]
    assert outdated_exports(listed) == wanted
    exported(tmp_path, "parquet")  # again: without them
    assert outdated_exports(Corpus.open(corpus.store.url)) == wanted[:1]


def test_an_export_that_began_counts_before_its_first_part(corpus: Corpus) -> None:
    named = corpus.file.views["default"]
    recipe = Recipe("parquet", corpus.file.manifest, "default", named.sha256, ("train", "holdout"), 2)
    record = ExportRecord("s3://b/x", recipe, "now")
    assert put_record(corpus, record) == record
    assert put_record(corpus, replace(record, begun="later")) == record
    listed = take_down(corpus, [("000000", 1), ("000000", 2)])
    assert outdated_exports(listed) == [OutdatedExport("s3://b/x", 1)]  # the second is after the limit


def test_a_record_that_cannot_be_read_counts_as_an_export_of_everything(corpus: Corpus) -> None:
    corpus.store.put("exports/aaaaaaaaaaaa.json", b"{")
    lost = replace(RECORD, recipe=replace(RECIPE, manifest=Named("manifests/gone.parquet", "0" * 64)), takedown=None)
    corpus.store.put("exports/bbbbbbbbbbbb.json", lost.json())
    corpus.store.put("exports/notes.txt", b"of a person")
    found = outdated_exports(take_down(corpus, [("000000", 1)]))
    assert [each.samples for each in found] == [1, 1]
    assert all("cannot be read" in each.output for each in found)


def test_a_list_that_was_deleted_counts_as_none(corpus: Corpus, tmp_path: Path) -> None:
    listed = take_down(corpus, [("000000", 1)])
    exported(tmp_path, "parquet")
    after = take_down(listed, [("000000", 2)])
    assert [each.samples for each in outdated_exports(after)] == [1]
    assert listed.file.takedown is not None
    corpus.store.delete(listed.file.takedown.path)
    assert [each.samples for each in outdated_exports(after)] == [2]


def test_the_record_says_when_it_was_finished(corpus: Corpus, tmp_path: Path) -> None:
    exported(tmp_path, "parquet")
    (name,) = corpus.store.names("exports")
    record = json.loads(corpus.store.read(name))
    assert record["finished"] >= record["begun"] and record["output"] == str(tmp_path / "parquet")
