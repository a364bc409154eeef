"""Tests that a purged shard holds nothing of what was taken down, everything else unchanged, even after kills."""

import hashlib
import json
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.formats.placeholder_jpeg import placeholder_jpeg
from tagmill.shards.lint import lint_shard, lint_view
from tagmill.shards.manifest import Corpus, commit
from tagmill.shards.purge import begin_purge, purge_shards, record
from tagmill.shards.reader import ShardReader, Unreadable
from tagmill.shards.storage.ranged_reads import Ranges
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import Row
from tagmill.shards.view import View
from tests.shards.corpora import make_corpus, sample
from tests.shards.purger import AT, purge, take_down
from tests.warm.python import warm_python

PLACES = [("000000", 1), ("000001", 0), ("000001", 6), ("holdout-000000", 2)]
STARTS = {"000000": 0, "000001": 5, "holdout-000000": 12}  # number of the first sample
GONE = {STARTS[shard] + ordinal for shard, ordinal in PLACES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that is to be copied."""
    folder = tmp_path_factory.mktemp("made")
    make_corpus(str(folder / "corpus"), folder / "spool")
    return folder / "corpus"


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Corpus:
    return Corpus.open(str(shutil.copytree(made, tmp_path / "corpus")))


def lint(corpus: Corpus) -> None:
    for entry in corpus.entries:
        lint_shard(corpus, entry)
    for name in corpus.file.views:
        lint_view(corpus, name)


def digests(corpus: Corpus) -> dict[str, str]:
    store = corpus.store
    return {name: hashlib.sha256(store.read(name)).hexdigest() for name in store.names("") if name != "corpus.json"}


def test_a_list_without_a_purge_alters_no_object(corpus: Corpus) -> None:
    before = digests(corpus)
    after = take_down(corpus, PLACES)
    named = after.file.takedown
    assert named is not None and digests(after) == {**before, named.path: named.sha256}
    assert replace(after.file, takedown=None) == corpus.file and after.takedown.num_samples == 4
    lint(after)
    again = take_down(after, [*PLACES, ("000000", 4)])
    assert again.takedown.holds(after.takedown) and again.takedown.num_samples == 5
    assert after.store.exists(named.path), "who opened the corpus before reads on"


def test_a_purge_alters_tar_and_table_of_its_shards_only(corpus: Corpus, tmp_path: Path) -> None:
    before, sizes = digests(corpus), {name: corpus.store.size(name) for name in corpus.store.names("shards")}
    after = purge(take_down(corpus, PLACES[:1]), tmp_path / "work")
    changed = {name for name, digest in digests(after).items() if before.get(name) != digest}
    assert {name for name in changed if name.startswith("shards/")} == {"shards/000000.tar", "shards/000000.parquet"}
    assert all(name.startswith(("shards/", "manifests/takedown-")) for name in changed)
    assert before.keys() <= digests(after).keys() and not list((tmp_path / "work").iterdir())
    assert {name: size for name, size in sizes.items() if name.endswith(".tar")} == {
        name: after.store.size(name) for name in sizes if name.endswith(".tar")
    }
    lint(after)
    assert after.takedown.num_purged == 1 and after.file.manifest == corpus.file.manifest
    with pytest.raises(IntegrityError, match="sha256"):
        lint(replace(after, file=corpus.file))  # a reader that ignores the list detects another shard


def test_nothing_is_left_of_purged_samples(corpus: Corpus, tmp_path: Path) -> None:
    purge(take_down(corpus, PLACES), tmp_path / "work")
    shards = {name: corpus.store.read(name) for name in corpus.store.names("shards")}
    for number in range(15):
        each = sample(number)
        tags, tar = (
            f'tag{number}"'.encode(),
            shards[next(f"shards/{n}.tar" for n in reversed(STARTS) if STARTS[n] <= number)],
        )
        assert (each.jpeg in tar) == (tags in tar) == (each.record.sha256.encode() in tar) == (number not in GONE)
        assert f"{each.record.key}.jpg".encode() in tar


def test_readers_find_the_others_unchanged(corpus: Corpus, tmp_path: Path) -> None:
    after = purge(take_down(corpus, PLACES), tmp_path / "work")
    for entry in after.entries:
        for pinned in (after, corpus):
            reader = ShardReader.of(pinned, entry)
            pictures = reader.pictures(reader.index(0, entry.samples))
            for number, picture in enumerate(pictures, STARTS[entry.name]):
                each = sample(number)
                wanted = Unreadable(each.record.key, "taken_down") if number in GONE else each.jpeg
                assert picture == wanted
                if number in GONE:
                    with pytest.raises(CorpusError, match="taken down"):
                        reader.sample(number - STARTS[entry.name])
                else:
                    facts, jpeg = reader.sample(number - STARTS[entry.name])
                    assert jpeg == each.jpeg and facts == json.loads(each.record.json())


def test_the_table_keeps_only_the_key(corpus: Corpus, tmp_path: Path) -> None:
    before = {
        entry.name: pq.read_table(Path(corpus.store.url, f"shards/{entry.name}.parquet")) for entry in corpus.entries
    }
    after = purge(take_down(corpus, PLACES), tmp_path / "work")
    for entry in after.entries:
        table = pq.read_table(Path(after.store.url, f"shards/{entry.name}.parquet"))
        assert table.schema == before[entry.name].schema
        for row, old in zip(table.to_pylist(), before[entry.name].to_pylist(), strict=True):
            number = int(old["url"].rpartition("/")[2].removesuffix(".jpg"))
            if number not in GONE:
                assert row == old
            else:
                assert row.pop("key") == old["key"] and not any(row.values())


def test_other_readers_accept_the_shard(corpus: Corpus, tmp_path: Path) -> None:
    after = purge(take_down(corpus, PLACES), tmp_path / "work")
    tars = [str(Path(after.store.url, f"shards/{entry.name}.tar")) for entry in after.entries]
    found = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert [each["__key__"] for each in found] == [sample(number).record.key for number in range(15)]
    for number, each in enumerate(found):
        gone = number in GONE
        assert each["jpg"] == (placeholder_jpeg(len(sample(number).jpeg)) if gone else sample(number).jpeg)
        assert json.loads(each["json"]) == ({} if gone else json.loads(sample(number).record.json()))
    for tar, count in zip(tars, (5, 7, 3), strict=True):
        listed = subprocess.run(["tar", "tf", tar], capture_output=True, text=True, check=True).stdout.split()
        assert len(listed) == 2 * count


def test_dali_reads_it_by_its_old_index(corpus: Corpus, tmp_path: Path) -> None:
    fn = pytest.importorskip("nvidia.dali.fn")
    from nvidia.dali import pipeline_def

    after = purge(take_down(corpus, PLACES), tmp_path / "work")
    stems = [str(Path(after.store.url, f"shards/{entry.name}")) for entry in after.entries]

    @pipeline_def(batch_size=15, num_threads=1, device_id=None)
    def read() -> Any:
        paths, indexes = [f"{stem}.tar" for stem in stems], [f"{stem}.idx" for stem in stems]
        return tuple(fn.readers.webdataset(paths=paths, index_paths=indexes, ext=["jpg", "json"]))

    pipeline = read()
    pipeline.build()
    jpegs, facts = pipeline.run()
    for number in range(15):
        gone, each = number in GONE, sample(number)
        assert np.array(jpegs[number]).tobytes() == (placeholder_jpeg(len(each.jpeg)) if gone else each.jpeg)
        assert json.loads(np.array(facts[number]).tobytes()) == ({} if gone else json.loads(each.record.json()))


def test_a_second_purge_removes_more_and_repeating_one_changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    first = purge(take_down(corpus, PLACES[:2]), tmp_path / "work")
    before = digests(first)
    assert digests(purge(first, tmp_path / "work")) == before
    second = purge(take_down(first, PLACES), tmp_path / "work")
    lint(second)
    assert second.takedown.num_purged == 4
    at_once = make_corpus(str(tmp_path / "other"), tmp_path / "spool")
    purge(take_down(at_once, PLACES), tmp_path / "work")
    for name in second.store.names("shards"):
        assert second.store.read(name) == at_once.store.read(name), name


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sets(st.sampled_from([*PLACES, ("000000", 0), ("000001", 3)]), min_size=1), min_size=1, max_size=3))
def test_the_bytes_depend_only_on_the_listed_samples(
    tmp_path_factory: pytest.TempPathFactory, steps: list[set[tuple[str, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    stepwise, at_once = (make_corpus(str(folder / name), folder / "spool", (2, 7), (3,)) for name in ("a", "b"))
    for step in steps:
        stepwise = purge(take_down(stepwise, sorted(step)), folder / "work")
        lint(stepwise)
    at_once = purge(take_down(at_once, sorted(set.union(*steps))), folder / "work")
    for name in at_once.store.names("shards"):
        assert stepwise.store.read(name) == at_once.store.read(name), name


KILLS = [
    *(
        "before:corpus.json",
        "half:corpus.json",
        "after:corpus.json",
        "before:parts/purge/000001",
        "after:parts/purge/000001",
    ),
    *(
        "half:000000.tar",
        "after:000000.tar",
        "half:000001.parquet",
        "after:000001.parquet",
        "after:holdout-000000.parquet",
    ),
    *("delete:parts/000000", "delete:parts/purge"),
]


@pytest.fixture(scope="module")
def purged(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Purged at once, to be read only."""
    folder = tmp_path_factory.mktemp("purged")
    return purge(take_down(make_corpus(str(folder / "corpus"), folder / "spool"), PLACES), folder / "work")


@pytest.mark.parametrize("kill", KILLS)
def test_after_a_kill_at_any_put_the_same_call_completes_it(
    corpus: Corpus, purged: Corpus, tmp_path: Path, kill: str
) -> None:
    corpus.store.put("parts/000000/attempt.parquet", b"pictures")
    places = ",".join(f"{shard}:{ordinal}" for shard, ordinal in PLACES)
    command = [warm_python(), "-m", "tests.shards.purger", corpus.store.url, str(tmp_path / "work"), places]
    done = subprocess.run([*command, kill], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL, done.stderr
    now = Corpus.open(corpus.store.url)
    for entry in now.entries:  # a reader now gets no listed image, and all others
        reader = ShardReader.of(now, entry)
        listed = reader.is_taken_down(np.arange(entry.samples))
        for number, picture in enumerate(reader.pictures(reader.index(0, entry.samples)), STARTS[entry.name]):
            assert picture == sample(number).jpeg or number in GONE
        assert listed.sum() == (
            0
            if kill.endswith("corpus.json") and not kill.startswith("after")
            else sum(shard == entry.name for shard, _ in PLACES)
        )
    if now.takedown.unfinished:
        with pytest.raises(IntegrityError, match="--purge again"):
            lint(now)
    end = subprocess.run([*command, "never:$^"], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert end.returncode == 0, end.stderr
    now = Corpus.open(corpus.store.url)
    lint(now)
    assert now.takedown.num_purged == len(PLACES) and not now.takedown.unfinished
    assert not now.store.names("parts")
    assert {name: now.store.read(name) for name in now.store.names("shards")} == {
        name: purged.store.read(name) for name in purged.store.names("shards")
    }


def test_an_altered_shard_is_not_purged(corpus: Corpus, tmp_path: Path) -> None:
    """New digests would hide the damage."""
    begun = begin_purge(take_down(corpus, PLACES), AT)
    for suffix in (".tar", ".parquet"):
        path = Path(corpus.store.url, f"shards/000001{suffix}")
        whole = path.read_bytes()
        path.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
        with pytest.raises(IntegrityError, match="restore the shard"):
            purge_shards(begun, tmp_path, begun.entries, AT)
        path.unlink()
        with pytest.raises(IntegrityError, match="missing"):
            purge_shards(begun, tmp_path, begun.entries, AT)
        path.write_bytes(whole)
    lint(purge_shards(begun, tmp_path, begun.entries, AT))


def test_a_list_is_added_to_the_current_one_of_the_corpus(corpus: Corpus, tmp_path: Path) -> None:
    take_down(corpus, [("000000", 3)])
    both = take_down(corpus, [("000000", 1)])  # opened before the first was listed
    assert both.takedown.ordinals("000000").tolist() == [1, 3]
    commit(corpus.store, replace(both.file, manifest=replace(both.file.manifest, sha256="0" * 64)))
    with pytest.raises(CorpusError, match="run the command again"):
        record(corpus, [Row(kind="host", value="example.org", at=AT)])


def test_views_stay_valid_and_labels_keep_their_rows(corpus: Corpus, tmp_path: Path) -> None:
    before = View.open(corpus, "default")
    after = View.open(purge(take_down(corpus, PLACES), tmp_path / "work"), "default")
    assert after.digest == before.digest
    assert all((after.labels(n, 0, size) == before.labels(n, 0, size)).all() for n, size in enumerate((5, 7, 3)))


def test_a_corpus_on_s3(s3_bucket: str, tmp_path: Path) -> None:
    corpus = make_corpus(f"{s3_bucket}/corpus", tmp_path / "spool")
    after = purge(take_down(corpus, PLACES), tmp_path / "work")
    lint(after)
    local = make_corpus(str(tmp_path / "local"), tmp_path / "spool")
    purge(take_down(local, PLACES), tmp_path / "work")
    for name in local.store.names("shards"):
        assert after.store.read(name) == local.store.read(name), name
    reader = ShardReader.of(corpus, corpus.entries[0])
    assert reader.pictures(reader.index(1, 2)) == [Unreadable(sample(1).record.key, "taken_down")]


@pytest.mark.parametrize("cut", [0, 1, 300, 10**6])
def test_a_reader_with_half_of_the_old_image_in_a_cache_reads_the_store(
    corpus: Corpus, tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = corpus.store.read("shards/000000.tar")
    purge(take_down(corpus, PLACES), tmp_path / "work")
    new = corpus.store.read("shards/000000.tar")
    reader = ShardReader.of(corpus, corpus.entries[0])
    record_ = reader.index(1, 2)
    start = int(record_[0]["offset"])
    mixed = old[: start + cut] + new[start + cut :]

    def cached(self: Store, name: str, ranges: Ranges, *rest: object) -> list[bytes]:
        return [mixed[start:stop] for start, stop in ranges]

    def afresh(self: Store, name: str, start: int, stop: int, *rest: object) -> bytes:
        return new[start:stop]

    monkeypatch.setattr(Store, "read_ranges", cached)
    monkeypatch.setattr(Store, "read_afresh", afresh)
    whole = cut >= int(record_[0]["size"])
    assert reader.pictures(record_) == [sample(1).jpeg if whole else Unreadable(sample(1).record.key, "taken_down")]
