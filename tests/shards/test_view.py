"""Tests runs and extras against their definition, and inconsistent views."""

import hashlib
import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import view as view_module
from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shard_index import INDEX
from tagmill.shards.manifest import Corpus, CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.storage.store import Store
from tagmill.shards.view import ONE, STRIDE, VIEW_SHARDS, View, extra_offset, put_shard_labels, put_view, recipe_folder
from tests.shards.corpora import VOCABULARY, labelling, make_corpus

FRACTION = st.sampled_from([0, 1, ONE // 3, ONE // 2, ONE - 1]) | st.integers(0, ONE - 1)
REPEAT = st.builds(lambda whole, fraction: whole * ONE + fraction, st.integers(0, 3), FRACTION)
# Long shards are drawn from a few values: only the stride of the running sums matters there.
SHARD = st.lists(REPEAT, max_size=12) | st.builds(
    lambda values, size, seed: random.Random(seed).choices(values, k=size),
    st.lists(REPEAT, min_size=1, max_size=3),
    st.integers(STRIDE - 2, 3 * STRIDE + 2),
    st.integers(0, 99),
)


def entry(number: int, samples: int) -> ShardEntry:
    return ShardEntry(f"{number:06d}", "train", samples, 0, "1" * 64, "2" * 64, "3" * 64)


def index_of(samples: int) -> npt.NDArray[Any]:
    """Returns INDEX records of random values, always the same."""
    return np.frombuffer(np.random.default_rng(samples).bytes(samples * INDEX.itemsize), INDEX)


def write(url: str, repeats: list[list[int]], seed: int = 0, facts: bool = False) -> View:
    """Writes a view of shards with these repeats; labels are the sample's number in its shard, modulo 3."""
    store, entries = Store(url), [entry(i, len(shard)) for i, shard in enumerate(repeats)]
    manifest, recipe = put_manifest(store, entries), {"repeats": repeats}
    lines = [
        put_shard_labels(
            store,
            recipe_folder("default", recipe),
            each,
            np.arange(len(shard), dtype=np.int32)[:, None] % 3,
            np.array(shard, np.int64),
            index_of(len(shard)) if facts else None,
        )
        for each, shard in zip(entries, repeats, strict=True)
    ]
    view = put_view(store, "default", recipe, manifest, VOCABULARY, lines, max_labels=1, seed=seed)
    commit(store, CorpusFile("test", manifest, {}, {"default": view}))
    return View.open(Corpus.open(url), "default")


def with_an_extra(repeats: list[list[int]], offset: int) -> list[list[int]]:
    """Returns by shard the ordinals that have an extra copy, by the definition: F runs over all samples in corpus
    order."""
    running, found = 0, []
    for shard in repeats:
        ordinals = []
        for ordinal, repeat in enumerate(shard):
            fraction = repeat % ONE
            if (running + fraction + offset) // ONE > (running + offset) // ONE:
                ordinals.append(ordinal)
            running += fraction
        found.append(ordinals)
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(SHARD, min_size=1, max_size=4), st.integers(0, 1 << 40), st.integers(0, 100), st.data())
def test_epochs_follow_the_definition(
    tmp_path_factory: pytest.TempPathFactory, repeats: list[list[int]], seed: int, epoch: int, data: st.DataObject
) -> None:
    view = write(str(tmp_path_factory.mktemp("view")), repeats, seed, facts=data.draw(st.booleans()))
    offset = extra_offset(seed, epoch)
    total, before = 0, offset
    for number, (shard, extras) in enumerate(zip(repeats, with_an_extra(repeats, offset), strict=True)):
        line = view.shards[number]
        view.check(number)
        for copy in range(max((r // ONE for r in shard), default=0)):
            run = [ordinal for ordinal, repeat in enumerate(shard) if repeat // ONE > copy]
            assert line.counts[copy] == len(run)
            start = data.draw(st.integers(0, len(run)))
            stop = data.draw(st.integers(start, len(run)))
            found = view.run(number, copy, start, stop)
            assert found.dtype == np.uint32 and found.tolist() == run[start:stop]
            check_facts(view.facts(number, copy, start, stop), found, line.facts_sha256)
        count = (before + line.fraction_sum) // ONE - before // ONE
        assert count == len(extras)
        start = data.draw(st.integers(0, count))
        stop = data.draw(st.integers(start, count))
        found = view.extras(number, before, start, stop)
        assert found.dtype == np.uint32 and found.tolist() == extras[start:stop]
        check_facts(view.extra_facts(number, before, start, stop), found, line.facts_sha256)
        assert view.extras(number, before, 0, count).tolist() == extras
        assert view.labels(number, 0, len(shard))[:, 0].tolist() == [i % 3 for i in range(len(shard))]
        before += line.fraction_sum
        total += count
    fractions = sum(repeat % ONE for shard in repeats for repeat in shard)
    assert total == (fractions + offset) // ONE - offset // ONE


def check_facts(facts: npt.NDArray[Any] | None, ordinals: npt.NDArray[Any], sha256: str | None) -> None:
    """Checks that facts are those of these samples, or that there are none."""
    assert (facts is None) == (sha256 is None)
    if facts is not None:
        assert facts["ordinal"].tolist() == ordinals.tolist()
        assert facts["labels"][:, 0].tolist() == [ordinal % 3 for ordinal in ordinals.tolist()]


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 1 << 20))
def test_the_offset_of_an_epoch(seed: int, epoch: int) -> None:
    first = hashlib.sha256(seed.to_bytes(8, "little", signed=True)).digest()
    assert extra_offset(seed, epoch) == (first[0] * 256 + first[1] + 40503 * epoch) % 65536


def test_the_offsets_of_65536_epochs_are_all_different() -> None:
    assert len({extra_offset(3, epoch) for epoch in range(ONE)}) == ONE


@pytest.mark.parametrize("epoch", [0, 1, 77])
def test_over_many_epochs_a_fraction_is_the_share_of_its_extras(tmp_path: Path, epoch: int) -> None:
    shares = [ONE // 4, ONE // 2, 3 * ONE // 4, 1]
    view = write(str(tmp_path), [shares])
    seen = np.zeros(len(shares))
    epochs = 400
    for each in range(epoch, epoch + epochs):
        before = extra_offset(view.file.seed, each)
        count = (before + view.shards[0].fraction_sum) // ONE
        seen[view.extras(0, before, 0, count)] += 1
    assert np.abs(seen / epochs - np.array(shares) / ONE).max() < 0.02


def test_files_without_content_are_not_written(tmp_path: Path) -> None:
    view = write(str(tmp_path), [[ONE] * 3, [2 * ONE] * 3, [0] * 3, [], [ONE, ONE // 2]])
    kinds = [(line.runs_sha256 is not None, line.extras_sha256 is not None) for line in view.shards]
    assert kinds == [(False, False), (False, False), (False, False), (False, False), (True, True)]
    assert sorted(name for name in view.store.names("") if not name.endswith("labels.npy")) == [
        "000004.extras.npy", "000004.runs.npy", "shards.parquet", "view.json", "vocabulary.json",
    ]  # fmt: skip
    assert view.shards[1].counts == [3, 3] and view.shards[2].counts == view.shards[3].counts == []
    assert view.file.totals == {"samples": 11, "selected": 7, "copies": 10, "labels": 3}


def test_a_single_shard_equals_that_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "LINES_KEPT", 2)
    view = write(str(tmp_path), [[ONE] * 3, [2 * ONE, ONE], [0] * 3, [], [ONE, ONE // 2]])
    asked = [0, 4, 1, 1, 3, 2, 0, 4]
    found = [view.shard(number) for number in asked]
    assert "shards" not in view.__dict__  # no object for each shard was made
    for line, number in zip(found, asked, strict=True):
        whole = view.shards[number]
        assert asdict(line) == {
            **{name: getattr(whole, name) for name in ("name", "samples", "counts", "fractions", "fraction_sum")},
            "listed": whole.runs_sha256 is not None,
            "facts": whole.facts_sha256 is not None,
        }
    assert len(view.__dict__["_lines"]) <= 2


@pytest.mark.parametrize("repeats", [[ONE] * 3, [ONE, 0, 2 * ONE]])
def test_offsets_outside_a_run_are_refused(tmp_path: Path, repeats: list[int]) -> None:
    view = write(str(tmp_path), [repeats])
    length = view.shards[0].counts[0]
    for copy, start, stop in [(0, 0, length + 1), (0, 2, 1), (0, -1, 1), (2, 0, 1)]:
        with pytest.raises(IntegrityError, match="in run"):
            view.run(0, copy, start, stop)
        with pytest.raises(IntegrityError, match="in run"):
            view.facts(0, copy, start, stop)
    assert view.run(0, 5, 0, 0).tolist() == []
    with pytest.raises(IntegrityError):
        view.labels(0, 0, 4)


def test_extras_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    view = write(str(tmp_path), [[ONE // 2] * 4, [ONE]])
    assert view.extras(0, 0, 0, 2).tolist() == [1, 3]
    for shard, start, stop in [(0, 0, 3), (0, -1, 1), (0, 2, 1), (1, 0, 1)]:
        with pytest.raises(IntegrityError, match="extras"):
            view.extras(shard, 0, start, stop)


def test_a_view_without_facts_has_the_table_of_earlier_versions(tmp_path: Path) -> None:
    """And this version reads it; an earlier one reads a table with the column, because it asks for its own."""
    without, with_facts = (write(str(tmp_path / str(facts)), [[ONE, 0], [ONE]], facts=facts) for facts in (False, True))
    stored = [read_table(view.store.read("shards.parquet")) for view in (without, with_facts)]
    earlier = VIEW_SHARDS.remove(VIEW_SHARDS.get_field_index("facts_sha256"))
    assert stored[0].schema.equals(earlier) and stored[1].schema.equals(VIEW_SHARDS)
    assert stored[1].select(earlier.names).equals(stored[0])
    assert [line.facts_sha256 for line in without.shards] == [None, None]
    assert [without.shard(number).facts for number in (0, 1)] == [False, False]
    assert without.facts(0, 0, 0, 1) is None and without.extra_facts(0, 0, 0, 0) is None
    assert [with_facts.shard(number).facts for number in (0, 1)] == [True, True]
    names = set(with_facts.store.names("")) - set(without.store.names(""))
    assert names == {"000000.facts.npy", "000001.facts.npy"}
    same = set(without.store.names("")) - {"shards.parquet", "view.json"}
    assert all(without.store.read(name) == with_facts.store.read(name) for name in same)


@pytest.mark.parametrize("kind", ["labels", "runs", "extras", "facts"])
def test_a_truncated_or_missing_file_is_found_at_the_first_read(tmp_path: Path, kind: str) -> None:
    view = write(str(tmp_path), [[ONE, ONE // 2, 0]], facts=True)
    name = f"000000.{kind}.npy"
    whole = view.store.read(name)
    view.store.put(name, whole[:-1])
    with pytest.raises(IntegrityError, match="expected"):
        view.check(0)
    view.store.delete(name)
    with pytest.raises(IntegrityError, match="missing"):
        view.check(0)


def test_labels_of_other_samples_are_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    labels, repeats = labelling(4)
    for wrong in [(labels[:3], repeats), (labels, repeats[:3]), (labels[:, 0], repeats), (labels, repeats[:, None])]:
        with pytest.raises(CorpusError, match="for 4 samples"):
            put_shard_labels(store, "views/x/y", entry(0, 4), *wrong)
    with pytest.raises(CorpusError, match="negative"):
        put_shard_labels(store, "views/x/y", entry(0, 4), labels, repeats - ONE)
    assert store.names("") == []


def test_a_views_folder_is_named_by_its_recipe() -> None:
    folder = recipe_folder("mine", {"a": 1, "b": [2]})
    assert folder == recipe_folder("mine", {"b": [2], "a": 1}) != recipe_folder("mine", {"a": 1, "b": [3]})
    assert folder.startswith("views/mine/") and len(folder) == len("views/mine/") + 12


def test_a_missing_view(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    with pytest.raises(CorpusError, match=r"no view 'mine' .*the corpus has: default"):
        View.open(corpus, "mine")


def test_a_view_of_another_corpus_is_refused(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    commit(corpus.store, replace(corpus.file, manifest=put_manifest(corpus.store, corpus.entries[:1])))
    with pytest.raises(CorpusError, match="made for another corpus"):
        View.open(Corpus.open(corpus.store.url), "default")


@pytest.mark.parametrize("name", ["view.json", "vocabulary.json", "shards.parquet"])
def test_altered_tables_of_a_view_are_found(tmp_path: Path, name: str) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    view = View.open(corpus, "default")
    assert len(view.vocabulary) == 3 and len(view.shards) == 3
    data = bytearray(view.store.read(name))
    data[len(data) // 2] ^= 4
    view.store.put(name, bytes(data))
    with pytest.raises(IntegrityError, match=rf"altered.*{name}"):
        again = View.open(corpus, "default")
        assert again.vocabulary and again.shards


def test_an_invalid_view_file_raises_a_one_line_error(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    named = corpus.file.views["default"]
    text = asdict(View.open(corpus, "default").file)
    for broken in (b"", b"[]", b"7", json.dumps({**text, "more": 1}).encode(), json.dumps({"name": "x"}).encode()):
        corpus.store.put(named.path, broken)
        views = {"default": replace(named, sha256=sha256_hex(broken))}
        with pytest.raises(CorpusError, match="not a view") as caught:
            View.open(Corpus(corpus.store, replace(corpus.file, views=views)), "default")
        assert "\n" not in str(caught.value)
