"""Tests one generation of a corpus, pinned by digests; and invalid files in the place of `corpus.json`."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tagmill.shards.errors import CorpusError, IntegrityError, OvertakenError, StoreError, TagmillError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import (
    FORMAT,
    SHARDS,
    Corpus,
    CorpusFile,
    Named,
    ShardEntry,
    ShardLine,
    amend,
    commit,
    put_manifest,
    read_named,
)
from tagmill.shards.storage.store import Store
from tests.shards.corpora import make_corpus


def entry(name: str, split: str = "train", samples: int = 1) -> ShardEntry:
    return ShardEntry(name, split, samples, 10240, "1" * 64, "2" * 64, "3" * 64)


ENTRIES = [entry("000000"), entry("000001", samples=7), entry("holdout-000000", "holdout")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture
def corpus(store: Store) -> Corpus:
    named = put_manifest(store, ENTRIES)
    views = {"default": Named("views/default/abc/view.json", "4" * 64)}
    lineage = [{"input": "a.parquet", "rows": 9}]
    commit(
        store, CorpusFile("mine", named, {"samples": 9}, views, None, {"size": 256}, {"pil": "12"}, 5, "v1", lineage)
    )
    return Corpus.open(store.url)


def test_a_corpus_survives_its_files(store: Store, corpus: Corpus) -> None:
    assert corpus.entries == ENTRIES
    assert corpus.file.name == "mine" and corpus.file.seed == 5 and corpus.file.format == FORMAT
    assert corpus.file.views["default"].path == "views/default/abc/view.json"
    assert corpus.file.lineage == [{"input": "a.parquet", "rows": 9}]
    assert corpus.digest.hex() == corpus.file.manifest.sha256 == sha256_hex(store.read(corpus.file.manifest.path))
    assert corpus.file.manifest.path == f"manifests/shards-{corpus.digest.hex()[:12]}.parquet"
    commit(store, replace(corpus.file, takedown=Named("manifests/takedown-5.parquet", "5" * 64)))
    assert Corpus.open(store.url).file.takedown == Named("manifests/takedown-5.parquet", "5" * 64)


def test_one_shard_and_one_column_equal_those_of_the_entries(corpus: Corpus) -> None:
    assert [corpus.entry(number) for number in range(3)] == [
        ShardLine(e.name, e.split, e.samples, e.bytes) for e in ENTRIES
    ]
    assert corpus.column("samples").tolist() == [1, 7, 1] and corpus.column("bytes").tolist() == [10240] * 3
    assert [list(corpus.shards_of(split)) for split in ("train", "holdout", "other")] == [[0, 1], [2], []]
    assert "entries" not in corpus.__dict__  # no object for each shard was made


def test_splits_that_are_not_consecutive_are_refused(corpus: Corpus) -> None:
    mixed = [asdict(entry("000000")), asdict(entry("000001", "holdout")), asdict(entry("000002"))]
    corpus.__dict__["table"] = pa.Table.from_pylist(mixed, SHARDS)
    with pytest.raises(CorpusError, match="'train' are not consecutive"):
        corpus.shards_of("train")
    assert list(corpus.shards_of("holdout")) == [1]


def test_the_same_shards_give_the_same_manifest(store: Store, tmp_path: Path) -> None:
    first = put_manifest(store, ENTRIES)
    assert put_manifest(store, ENTRIES) == first
    assert put_manifest(Store(str(tmp_path / "other")), ENTRIES) == first
    assert put_manifest(store, ENTRIES[:2]) != first


def test_an_open_corpus_stays_in_its_generation(store: Store, corpus: Corpus) -> None:
    commit(store, replace(corpus.file, manifest=put_manifest(store, [entry("000009")])))
    assert corpus.entries == ENTRIES
    assert [each.name for each in Corpus.open(store.url).entries] == ["000009"]


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ([ENTRIES[1], ENTRIES[0]], "out of order"),
        ([ENTRIES[2], ENTRIES[0]], "out of order"),
        ([ENTRIES[0], ENTRIES[0]], "two shards of one name"),
        ([entry("000000", "validation")], "splits"),
    ],
)
def test_an_invalid_manifest_is_not_written(store: Store, entries: list[ShardEntry], what: str) -> None:
    with pytest.raises(CorpusError, match=what):
        put_manifest(store, entries)
    assert store.names("") == []


def test_a_damaged_object_under_the_manifests_name_is_found_when_it_is_written(store: Store) -> None:
    named = put_manifest(store, ENTRIES)
    store.put(named.path, b"damaged")
    with pytest.raises(IntegrityError, match="altered"):
        put_manifest(store, ENTRIES)


def test_an_altered_or_missing_manifest_is_found(store: Store, corpus: Corpus) -> None:
    path = corpus.file.manifest.path
    data = bytearray(store.read(path))
    for place in (0, len(data) // 2, len(data) - 1):
        data[place] ^= 1
        store.put(path, bytes(data))
        with pytest.raises(IntegrityError, match="altered: its sha256"):
            Corpus.open(store.url).entries  # noqa: B018
        data[place] ^= 1
    store.put(path, bytes(data[:-1]))
    with pytest.raises(IntegrityError, match="altered"):
        read_named(store, corpus.file.manifest)
    store.delete(path)
    with pytest.raises(IntegrityError, match="missing") as caught:
        Corpus.open(store.url).entries  # noqa: B018
    assert path in str(caught.value) and "\n" not in str(caught.value)


def refused(store: Store) -> str:
    with pytest.raises(TagmillError) as caught:
        Corpus.open(store.url)
    assert type(caught.value) is CorpusError
    assert "\n" not in str(caught.value) and "corpus.json" in str(caught.value) and caught.value.remedy
    return str(caught.value)


def test_no_corpus(store: Store, tmp_path: Path) -> None:
    assert "no corpus here" in refused(store)
    assert "no corpus here" in refused(Store(str(tmp_path / "nowhere")))
    (tmp_path / "file").write_bytes(b"")
    assert "no corpus here" in refused(Store(str(tmp_path / "file")))
    (tmp_path / "corpus.json").mkdir()
    with pytest.raises(StoreError):
        Corpus.open(str(tmp_path))


@pytest.mark.parametrize("version", ["0", "2", 1, None, ["1"]])
def test_another_format(store: Store, corpus: Corpus, version: object) -> None:
    text = json.loads(store.read("corpus.json"))
    store.put("corpus.json", json.dumps({**text, "format": version}).encode())
    assert f"corpus format {version!r}, this version reads '{FORMAT}'" in refused(store)


def test_half_a_file_and_other_files(store: Store, corpus: Corpus) -> None:
    data = store.read("corpus.json")
    for size in range(0, len(data) - 2, 7):
        store.put("corpus.json", data[:size])
        assert "not a corpus file" in refused(store)
    for other in (b"[]", b'"0"', b"7", b"{}", b"\xff\xfe", b"null"):
        store.put("corpus.json", other)
        refused(store)


@pytest.mark.parametrize(
    "change",
    [
        {"manifest": None},
        {"manifest": {}},
        {"manifest": {"path": "x"}},
        {"manifest": {"path": "x", "sha256": "12"}},
        {"manifest": {"path": "x", "sha256": "z" * 64}},
        {"manifest": {"path": "x", "sha256": 7}},
        {"manifest": {"path": 7, "sha256": "1" * 64}},
        {"manifest": {"path": "x", "sha256": "1" * 64, "more": 1}},
        {"views": []},
        {"views": {"default": "x"}},
        {"takedown": "x"},
        {"unheard_of": 1},
    ],
)
def test_unknown_fields(store: Store, corpus: Corpus, change: dict[str, Any]) -> None:
    store.put("corpus.json", json.dumps({**asdict(corpus.file), **change}).encode())
    assert "not a corpus file" in refused(store)


def test_missing_fields(store: Store, corpus: Corpus) -> None:
    for name in ("name", "manifest", "totals", "views", "takedown"):
        text = asdict(corpus.file)
        del text[name]
        store.put("corpus.json", json.dumps(text).encode())
        assert "not a corpus file" in refused(store)


def test_a_manifest_path_that_leaves_the_corpus_is_refused(store: Store, corpus: Corpus) -> None:
    commit(store, replace(corpus.file, manifest=Named("../../etc/passwd", "1" * 64)))
    with pytest.raises(StoreError, match="leave the store"):
        Corpus.open(store.url).entries  # noqa: B018


def test_the_same_corpus_in_two_places_is_equal(tmp_path: Path) -> None:
    first = make_corpus(str(tmp_path / "a"), tmp_path / "spool")
    second = make_corpus(str(tmp_path / "b"), tmp_path / "spool")
    assert first.file == second.file
    assert first.store.names("") == second.store.names("")
    assert all(first.store.read(name) == second.store.read(name) for name in first.store.names(""))


def test_a_commit_over_another_generation_is_refused(store: Store, corpus: Corpus) -> None:
    mine = replace(corpus.file, views={"mine": Named("views/mine/a/view.json", "6" * 64)})
    commit(store, mine, over=corpus.file)
    commit(store, mine, over=corpus.file)  # like a run that was killed after its commit
    with pytest.raises(OvertakenError, match="nothing was committed"):
        commit(store, replace(corpus.file, seed=6), over=corpus.file)
    assert Corpus.open(store.url).file == mine


def test_a_commit_between_reading_and_writing_is_detected(
    store: Store, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process commits after the generation was compared."""
    exchange = Store.exchange

    def late(self: Store, name: str, old: bytes, new: bytes) -> bool:
        monkeypatch.setattr(Store, "exchange", exchange)
        commit(store, replace(corpus.file, seed=7))
        return self.exchange(name, old, new)

    monkeypatch.setattr(Store, "exchange", late)
    with pytest.raises(OvertakenError):
        commit(store, replace(corpus.file, seed=6), over=corpus.file)
    assert Corpus.open(store.url).file.seed == 7
    monkeypatch.setattr(Store, "exchange", late)
    after = amend(corpus, lambda now: replace(now.file, name=f"seed {now.file.seed}"))
    assert after.file.name == "seed 7"


def test_an_amendment_that_always_loses_the_race_ends(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "exchange", lambda *args: False)
    with pytest.raises(OvertakenError, match="run the command again"):
        amend(corpus, lambda now: replace(now.file, name="another"))


def test_simultaneous_commands_all_succeed(store: Store, corpus: Corpus) -> None:
    """Each adds its own views: two that would write the same generation both succeed with one commit."""

    def add(number: int) -> None:
        for step in range(5):
            view = Named(f"views/{number}/{step}/view.json", "7" * 64)
            amend(corpus, lambda now, view=view: replace(now.file, views={**now.file.views, view.path: view}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    names = {f"views/{number}/{step}/view.json" for number in range(4) for step in range(5)}
    assert set(Corpus.open(store.url).file.views) == {"default"} | names


def test_two_commands_for_the_same_generation_both_succeed(store: Store, corpus: Corpus) -> None:
    mine = Named("views/mine/a/view.json", "6" * 64)
    with ThreadPoolExecutor(4) as pool:
        change = lambda now: replace(now.file, views={**now.file.views, "mine": mine})  # noqa: E731
        after = list(pool.map(lambda _: amend(corpus, change), range(8)))
    assert all(corpus.file.views["mine"] == mine for corpus in [*after, Corpus.open(store.url)])
