"""Tests reading samples by number from any store, and what happens if the bytes differ from those written."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.shard_index import padded
from tagmill.shards.lint import lint_shard, lint_view
from tagmill.shards.manifest import Corpus
from tagmill.shards.reader import ShardReader, Unreadable
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View
from tests.shards.corpora import labelling, make_corpus, sample
from tests.warm.python import warm_python

SIZES, HOLDOUT = (5, 7), (3, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("made")
    return make_corpus(str(folder / "corpus"), folder / "spool", SIZES, HOLDOUT)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(str(tmp_path / "corpus"), tmp_path / "spool", SIZES, HOLDOUT)


def altered(reader: ShardReader, place: int, suffix: str = ".tar") -> None:
    name = f"{reader.entry.name}{suffix}"
    data = bytearray(reader.store.read(name))
    data[place] ^= 0x20
    reader.store.put(name, bytes(data))


def assert_whole(corpus: Corpus) -> None:
    """Checks that everything in the corpus is what `make_corpus` was given."""
    number = 0
    for entry in corpus.entries:
        reader = ShardReader.of(corpus, entry)
        reader.check()
        index = reader.index(0, entry.samples)
        pictures = reader.pictures(index)
        for ordinal in range(entry.samples):
            each = sample(number)
            assert pictures[ordinal] == each.jpeg
            facts, jpeg = reader.sample(ordinal)
            assert jpeg == each.jpeg
            assert (facts["key"], facts["url"], facts["score"]) == (each.record.key, each.record.url, number / 4)
            number += 1
        lint_shard(corpus, entry)
    view = View.open(corpus, "default")
    for shard, line in enumerate(view.shards):
        view.check(shard)
        labels, repeats = labelling(line.samples)
        np.testing.assert_array_equal(view.labels(shard, 0, line.samples), labels)
        for copy, length in enumerate(line.counts):
            assert view.run(shard, copy, 0, length).tolist() == np.flatnonzero(repeats >> 16 > copy).tolist()
    lint_view(corpus, "default")


def test_every_sample_of_a_corpus_including_short_holdout_shards(made: Corpus) -> None:
    assert [(entry.split, entry.samples) for entry in made.entries] == [
        ("train", 5), ("train", 7), ("holdout", 3), ("holdout", 1),
    ]  # fmt: skip
    assert_whole(made)


@pytest.fixture
def memory() -> Iterator[str]:
    yield f"memory://{uuid.uuid4()}"
    fsspec.filesystem("memory").store.clear()


def test_a_corpus_in_memory(memory: str, tmp_path: Path) -> None:
    assert_whole(make_corpus(memory, tmp_path, SIZES, HOLDOUT))


def test_a_corpus_on_s3(s3_bucket: str, tmp_path: Path) -> None:
    url = f"{s3_bucket}/some/corpus"
    corpus = make_corpus(url, tmp_path, SIZES, HOLDOUT)
    assert_whole(corpus)
    local = make_corpus(str(tmp_path / "local"), tmp_path / "spool", SIZES, HOLDOUT)
    assert corpus.store.names("") == local.store.names("")
    assert all(corpus.store.read(name) == local.store.read(name) for name in local.store.names(""))
    command = [
        warm_python(),
        "-c",
        "import sys\nfrom tests.shards import test_reader as t\nt.assert_whole(t.Corpus.open(sys.argv[1]))",
        url,
    ]
    subprocess.run(command, check=True, cwd=Path(__file__).resolve().parents[2], timeout=100)
    reader = ShardReader.of(corpus, corpus.entries[1])
    whole = reader.store.read("000001.tar")
    reader.store.put("000001.tar", whole[:-512])
    with pytest.raises(IntegrityError, match="the manifest says"):
        reader.check()
    with pytest.raises(IntegrityError, match="end after"):
        reader.store.read_range("000001.tar", len(whole) - 600, len(whole))


@given(st.lists(st.integers(0, SIZES[1] - 1), unique=True).map(sorted), st.integers(0, 8000))
def test_images_of_any_samples_in_order(made: Corpus, ordinals: list[int], gap_limit: int) -> None:
    reader = ShardReader.of(made, made.entries[1])
    records = reader.index(0, SIZES[1])[ordinals]
    assert reader.pictures(records, gap_limit) == [sample(SIZES[0] + ordinal).jpeg for ordinal in ordinals]


def test_neighbours_share_a_read(made: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ShardReader.of(made, made.entries[1])
    records, reads, whole = reader.index(0, 7), [], Store.read_ranges

    def counted(store: Store, name: str, places: Any, *content: Any) -> list[bytes]:
        reads.append((places[0][0], places[-1][1]))
        return whole(store, name, places, *content)

    monkeypatch.setattr(Store, "read_ranges", counted)
    reader.pictures(records)
    assert len(reads) == 1
    reads.clear()
    reader.pictures(records, gap_limit=0)
    assert reads == [(int(r["offset"]), int(r["offset"]) + int(r["size"])) for r in records]
    reads.clear()
    assert reader.pictures(records[:0]) == [] and reads == []


def test_an_altered_image_is_a_value_and_its_neighbours_are_unaffected(corpus: Corpus) -> None:
    reader = ShardReader.of(corpus, corpus.entries[1])
    records = reader.index(0, 7)
    altered(reader, int(records[3]["offset"]))
    altered(reader, int(records[5]["offset"]) + int(records[5]["size"]) - 1)
    found = reader.pictures(records)
    for ordinal in range(7):
        each = sample(5 + ordinal)
        assert found[ordinal] == (Unreadable(each.record.key, "altered") if ordinal in (3, 5) else each.jpeg)
    with pytest.raises(IntegrityError, match=f"altered picture .*{sample(8).record.key}"):
        reader.sample(3)
    assert reader.sample(4)[1] == sample(9).jpeg


@pytest.mark.parametrize("place", [0, 2, 6])
@pytest.mark.parametrize("field", ["offset", "size", "crc32"])
@pytest.mark.parametrize("value", [0, 1, 77, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_an_altered_index_record_never_gives_other_bytes(made: Corpus, field: str, value: int, place: int) -> None:
    reader = ShardReader.of(made, made.entries[1])
    records: npt.NDArray[Any] = reader.index(0, 7).copy()
    records[field][place] = value & (1 << 8 * records[field].dtype.itemsize) - 1
    found = reader.pictures(records)
    for ordinal in range(7):
        each = sample(5 + ordinal)
        assert found[ordinal] == (Unreadable(each.record.key, "altered") if ordinal == place else each.jpeg)


def test_altered_facts_are_found_when_they_are_read(corpus: Corpus) -> None:
    reader = ShardReader.of(corpus, corpus.entries[1])
    record = reader.index(3, 4)[0]
    header = int(record["offset"]) + padded(int(record["size"]))
    for place in (header, header + 130, header + 512, header + 512 + len('{"caption')):
        altered(reader, place)
        with pytest.raises(IntegrityError, match="altered facts"):
            reader.sample(3)
        altered(reader, place)
    assert reader.sample(3)[0]["key"] == sample(8).record.key


@pytest.mark.parametrize("change", ["cut at a member", "cut by a byte", "longer", "missing"])
@pytest.mark.parametrize("suffix", [".tar", ".npy"])
def test_files_of_another_length_are_found_at_the_first_read(corpus: Corpus, change: str, suffix: str) -> None:
    reader = ShardReader.of(corpus, corpus.entries[1])
    name = f"000001{suffix}"
    whole, boundary = reader.store.read(name), int(reader.index(3, 4)[0]["offset"]) - 512 if suffix == ".tar" else 160
    parts = {"cut at a member": whole[:boundary], "cut by a byte": whole[:-1], "longer": whole + b"x"}
    if change == "missing":
        reader.store.delete(name)
    else:
        reader.store.put(name, parts[change])
    with pytest.raises(IntegrityError) as caught:
        reader.check()
    assert "\n" not in str(caught.value) and name in str(caught.value) and caught.value.remedy
    for ordinal in (0, 6):  # and at every read, even of bytes that still exist
        with pytest.raises(IntegrityError, match=name):
            reader.sample(ordinal)


@pytest.mark.parametrize("ordinal", [-1, 5, 1 << 40])
def test_samples_that_do_not_exist(made: Corpus, ordinal: int) -> None:
    with pytest.raises(IntegrityError, match="rows"):
        ShardReader.of(made, made.entries[0]).sample(ordinal)
