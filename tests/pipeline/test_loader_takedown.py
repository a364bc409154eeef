"""Tests that a sample that was taken down is a hole: its slot stays, its image is never shown, and it does not count
for the failure budget."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagmill.pipeline import Batch, Loader, LoaderConfig
from tagmill.pipeline import config as configs
from tagmill.pipeline.augment.draws import eval_crops
from tagmill.pipeline.decode.backend import choose
from tagmill.shards import Corpus, Store, TagmillError
from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.placeholder_jpeg import SMALLEST, placeholder_jpeg
from tagmill.shards.manifest import commit
from tagmill.shards.view import ONE
from tests.pipeline.corpora import Made, make_corpus
from tests.pipeline.epochs import batches_left
from tests.shards.purger import purge, take_down

CONFIG = LoaderConfig(
    batch_size=16, streams=4, window=2, chunk=8, size=16, threads=1, readers=2, epochs=2, backend="cpu", seed=3
)
BACKENDS = ["cpu", "dali"]
PLACES = [("000000", 0), ("000000", 7), ("000001", 5), ("000002", 19)]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    repeats = np.where(np.arange(70) % 5 == 0, ONE + ONE // 2, ONE)
    return make_corpus(tmp_path / "corpus", [30, 20, 20], repeats=repeats, holdout=[5])


def gone(made: Made) -> set[int]:
    starts = dict(zip([entry.name for entry in made.entries], made.starts.tolist(), strict=False))
    return {starts[shard] + ordinal for shard, ordinal in PLACES}


def facts(batches: Iterable[Batch]) -> list[tuple[int, bytes, bool, tuple[int, ...], bytes]]:
    """Returns position, key, valid, labels and pixels of every slot, in order."""
    found = []
    for batch in batches:
        for row in range(batch.count):
            labels = batch.labels.ids[batch.labels.offsets[row] : batch.labels.offsets[row + 1]]
            key, pixels = batch.keys[row].tobytes(), batch.images[row].contiguous().numpy().tobytes()
            found.append((int(batch.positions[row]), key, bool(batch.valid[row]), tuple(labels.tolist()), pixels))
    return found


def check(before: list[Any], after: list[Any], made: Made) -> int:
    """Checks every slot against the original, except for samples taken down; returns their number."""
    holes, lost = 0, gone(made)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if made.number_of(old[1]) in lost:
            holes += 1
            assert old[2] and new == (old[0], old[1], False, (), new[4]) and not any(new[4])
        else:
            assert new == old
    assert holes >= 2 * len(lost)
    return holes


def loader(corpus: str | Corpus, **changes: Any) -> Loader:
    return Loader(corpus, replace(CONFIG, output="uint8", **changes))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("purged", [False, True])
def test_a_listed_sample_is_a_hole_in_its_slot(
    made: Made,
    tmp_path: Path,
    backend: str,
    purged: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if backend == "dali":
        pytest.importorskip("nvidia.dali")
    with loader(made.url, backend=backend) as whole:
        before = facts(batches_left(whole))
    corpus = take_down(made.open(), PLACES)
    if purged:
        purge(corpus, tmp_path / "work")
    monkeypatch.setattr(configs, "FAILURE_FLOOR", 0)
    with caplog.at_level(logging.INFO), loader(made.url, backend=backend, failure_budget=0.0) as after:
        holes = check(before, facts(batches_left(after)), made)
        assert after.meters.as_dict()["holes"] == {"taken_down": holes}
        assert after.meters.num_lost == 0 and f"{holes:,} taken_down" in after.report()
    assert "4 samples are taken down" in caplog.text


def test_their_bytes_are_not_read(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every sample far from the next, a read is of one image."""
    corpus = take_down(made.open(), PLACES)
    index = {entry.name: np.load(made.file(number, ".npy")) for number, entry in enumerate(made.entries)}
    read: list[tuple[str, int, int]] = []
    read_ranges = Store.read_ranges

    def watched(store: Store, name: str, places: Any, *rest: Any) -> list[bytes]:
        read.append((name, places[0][0], places[-1][1]))
        return read_ranges(store, name, places, *rest)

    monkeypatch.setattr(Store, "read_ranges", watched)
    monkeypatch.setattr("tagmill.shards.reader.ShardReader.pictures.__defaults__", (-1,))
    with loader(corpus, epochs=1) as one:
        list(one)
    places = {(f"{shard}.tar", int(index[shard][ordinal]["offset"])) for shard, ordinal in PLACES}
    starts = {(name, start) for name, start, _ in read}
    assert not places & starts and len([name for name, *_ in read if name.endswith(".tar")]) > 60


@pytest.mark.parametrize("late", ["listed", "purged"])
def test_a_state_saved_before_resumes_afterwards(made: Made, tmp_path: Path, late: str) -> None:
    with loader(made.url) as whole:
        before = facts(batches_left(whole))
    with loader(made.url) as first:
        steps = iter(first)
        seen = facts(next(steps) for _ in range(3))
        state = first.state_dict()
    corpus = take_down(made.open(), PLACES)
    if late == "purged":
        purge(corpus, tmp_path / "work")
    with loader(made.url) as second:
        second.load_state_dict(state)
        rest = facts(batches_left(second))
    assert seen == before[: len(seen)] and len(seen) + len(rest) == len(before)
    lost = gone(made)
    for old, new in zip(before[len(seen) :], rest, strict=True):
        assert new[:2] == old[:2] and new[2] == (made.number_of(old[1]) not in lost)


def test_holes_of_a_purge_during_the_run_are_no_failures(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loader(made.url) as whole:
        before = facts(batches_left(whole))
    pinned = made.open()
    purge(take_down(made.open(), PLACES), tmp_path / "work")
    assert pinned.takedown.num_samples == 0
    monkeypatch.setattr(configs, "FAILURE_FLOOR", 0)
    with loader(pinned, failure_budget=0.0) as run:
        holes = check(before, facts(batches_left(run)), made)
        assert run.meters.as_dict()["holes"] == {"taken_down": holes}


def test_other_holes_still_count_and_are_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    take_down(made.open(), PLACES)
    path = made.file(0, ".tar")
    data = bytearray(path.read_bytes())
    data[int(np.load(made.file(0, ".npy"))[3]["offset"]) + 200] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(configs, "FAILURE_FLOOR", 0)
    with (
        loader(made.url, failure_budget=0.0) as run,
        pytest.raises(TagmillError, match=r"1 of .* most frequent: 1 altered;"),
    ):
        list(batches_left(run))


def test_a_missing_list_ends_the_run_before_it_begins(made: Made) -> None:
    corpus = take_down(made.open(), PLACES)
    named = corpus.file.takedown
    assert named is not None
    corpus.store.delete(named.path)
    with pytest.raises(IntegrityError, match="missing"):
        Loader(made.url, CONFIG)
    commit(corpus.store, replace(corpus.file, takedown=replace(named, path=corpus.file.manifest.path)))
    with pytest.raises(IntegrityError, match="altered"):
        Loader(made.url, CONFIG)


@pytest.mark.parametrize("backend", ["cpu", "pillow", "dali"])
def test_backends_decode_placeholders(backend: str) -> None:
    """The loader never decodes them; other readers of the tars do, with backends like these."""
    if backend == "dali":
        pytest.importorskip("nvidia.dali")
    jpegs: list[bytes | None] = [
        placeholder_jpeg(size) for size in (SMALLEST, SMALLEST + 2, 300, 20_000, 70_001, 200_000)
    ]
    sides, chosen = np.ones(len(jpegs), np.int32), choose(replace(CONFIG, backend=backend, batch_size=len(jpegs)))  # type: ignore[arg-type]
    images, failed = chosen.decode(jpegs, eval_crops(sides, sides, 16), 16, None, lambda ahead: None)
    chosen.close()
    assert not failed.any() and (images == 128).all()
