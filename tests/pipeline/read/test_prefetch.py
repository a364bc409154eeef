"""Tests reading ahead: the right bytes for every position, bounded memory, holes for bad images, errors for bad shards."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.config import World
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.plan import open_samples
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.prefetch import Prefetcher, SampleReader
from tagmill.pipeline.waits import Waits
from tagmill.shards.errors import IntegrityError, TagmillError
from tagmill.shards.purge import record
from tagmill.shards.takedown import SAMPLE, Row
from tagmill.shards.view import ONE, View
from tests.pipeline.corpora import Made, make_corpus, picture

SPARSE = np.where(np.arange(88) % 9 == 0, 4 * ONE + 7777, np.arange(88) % 2 * ONE)  # few samples with many copies


@pytest.fixture(scope="module", params=[True, False], ids=["facts", "no facts"])
def made(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Made:
    folder = tmp_path_factory.mktemp("prefetch")
    return make_corpus(folder, [30, 17, 41], holdout=[9], repeats=SPARSE, facts=request.param)


def sample_reader(made: Made, view: str | None = "default", split: str = "train") -> SampleReader:
    corpus = made.open()
    opened = View.open(corpus, view) if view else None
    return SampleReader(corpus, opened, EpochSpace.of(corpus, opened, split))


def schedule_of(reader: SampleReader, streams: int, window: int, chunk: int, world: World, batch: int = 12) -> Schedule:
    digest = reader.view.digest if reader.view else None
    return Schedule(
        reader.space, reader.corpus.digest, digest, 0, streams, window, chunk, batch, False, 2, world
    )  # fmt: skip


@pytest.fixture
def prefetchers() -> Iterator[Any]:
    """Returns a factory of prefetchers that are closed when the test ends."""
    opened: list[Prefetcher] = []

    def prefetcher(reader: SampleReader, schedule: Schedule, threads: int = 3, **more: Any) -> Prefetcher:
        capacity = open_samples(schedule.streams, schedule.window, schedule.chunk, schedule.world)
        opened.append(Prefetcher(reader, schedule.visits(0, 0), capacity, threads, Meters(), **more))
        return opened[-1]

    yield prefetcher
    for one in opened:
        one.close()


@pytest.mark.parametrize(("view", "split"), [("default", "train"), ("default", "holdout"), (None, "train")])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_every_position_gives_its_sample(made: Made, view: str | None, split: str, epoch: int) -> None:
    reader = sample_reader(made, view, split)
    samples = reader.read(epoch, np.arange(reader.space.num_positions(epoch)))
    numbers = [made.number_of(sample.key) for sample in samples]
    wanted = made.copies(epoch, split) if view else (np.arange(97) < 88).astype(np.int64)
    assert np.bincount(numbers, minlength=97).tolist() == wanted.tolist()
    for number, sample in zip(numbers, samples, strict=True):
        assert sample.jpeg == made.jpegs[number]
        assert (sample.width, sample.height) == made.sizes[number]
        labels = made.labels[number]
        assert sample.labels.tolist() == (labels[labels >= 0].tolist() if view else [])


REPEATS = st.sampled_from([0, ONE, ONE // 3, 2 * ONE, 3 * ONE + ONE // 2])


@settings(max_examples=15, deadline=None)
@given(st.lists(REPEATS, min_size=24, max_size=24), st.sets(st.integers(0, 23)), st.integers(0, 3), st.data())
def test_facts_and_separate_files_give_the_same_samples(
    tmp_path_factory: pytest.TempPathFactory, repeats: list[int], taken: set[int], epoch: int, data: st.DataObject
) -> None:
    """Of every epoch, with samples taken down, in any order: as the plan's chunks or as single positions."""
    folder = tmp_path_factory.mktemp("both")
    repeats[0] = ONE  # a view needs a sample
    readers = []
    for facts in (True, False):
        made = make_corpus(folder / str(facts), [9, 15], repeats=repeats, facts=facts)
        places = {each: (0, each) if each < 9 else (1, each - 9) for each in sorted(taken)}
        rows = [
            Row(kind=SAMPLE, value=made.keys[each].hex(), by="key", shard=f"{shard:06d}", ordinal=ordinal, at="now")
            for each, (shard, ordinal) in places.items()
        ]
        readers.append(sample_reader(replace(made, url=record(made.open(), rows).store.url) if rows else made))
    assert [bool(reader.view and reader.view.shard(0).facts) for reader in readers] == [True, False]
    positions = readers[0].space.num_positions(epoch)
    asked = data.draw(st.lists(st.integers(0, positions - 1), unique=True).map(sorted) | st.just(range(positions)))
    found = [reader.read(epoch, np.array(asked, np.int64)) for reader in readers]
    for one, other in zip(*found, strict=True):
        assert one[:4] == other[:4] and one.reason == other.reason
        assert one.labels.tolist() == other.labels.tolist() and one.labels.dtype == other.labels.dtype
        assert (one.reason == "taken_down") == (made.number_of(one.key) in taken)


def test_some_positions_are_read_like_all(made: Made) -> None:
    reader = sample_reader(made)
    everything = reader.read(1, np.arange(reader.space.num_positions(1)))
    some = np.sort(np.random.default_rng(0).choice(len(everything), 40, replace=False))
    found = reader.read(1, some)
    assert [sample.key for sample in found] == [everything[place].key for place in some]
    assert [sample.jpeg for sample in found] == [everything[place].jpeg for place in some]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 8), st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(4, 90)
)
def test_samples_come_in_order_within_bounded_memory(
    made: Made, streams: int, window: int, chunk: int, ranks: int, threads: int, batch: int
) -> None:
    """Two epochs, any plan: no deadlock, no missing sample, and never more open samples than the windows hold."""
    world = World(min(ranks, streams) - 1, min(ranks, streams))
    reader = sample_reader(made)
    schedule = schedule_of(reader, streams, window, chunk, world, batch)
    capacity = open_samples(streams, window, chunk, world)
    keys = {
        epoch: [s.key for s in reader.read(epoch, np.arange(reader.space.num_positions(epoch)))] for epoch in (0, 1)
    }
    prefetcher = Prefetcher(reader, schedule.visits(0, 0), capacity, threads, Meters())
    try:
        for step in schedule.steps(0, 0):
            for position in step.positions:  # one by one, to check the memory between any two
                (sample,) = prefetcher.take(step.epoch, np.array([position]))
                assert sample.key == keys[step.epoch][position]
                assert prefetcher.num_open <= capacity
        assert prefetcher.num_open == 0
    finally:
        prefetcher.close()


def test_an_altered_image_is_a_hole_and_nothing_else_is_lost(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [12, 8])
    tar = made.file(1, ".tar")
    data = bytearray(tar.read_bytes())
    place = bytes(data).index(made.jpegs[15]) + len(made.jpegs[15]) // 2
    data[place] ^= 1
    tar.write_bytes(bytes(data))
    samples = sample_reader(made).read(0, np.arange(20))
    bad = [(made.number_of(sample.key), sample.reason) for sample in samples if sample.jpeg is None]
    assert bad == [(15, "altered")]
    assert not next(sample for sample in samples if sample.jpeg is None).labels.size


def test_an_image_that_was_stored_truncated_is_a_hole(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [6], replace={2: picture(2)[:-40], 4: b"", 5: b"no picture"})
    samples = sample_reader(made).read(0, np.arange(6))
    assert [sample.reason for sample in samples] == ["", "", "cut", "", "cut", "cut"]


def drain(prefetcher: Prefetcher, schedule: Schedule) -> int:
    """Returns the steps before the one that raised an error."""
    for done, step in enumerate(schedule.steps(0, 0)):
        try:
            prefetcher.take(step.epoch, step.positions)
        except IntegrityError:
            return done
    raise AssertionError("no error")


@pytest.mark.parametrize(
    "kind", ["missing tar", "cut tar", "cut index", "missing labels", "cut runs", "cut facts", "missing facts"]
)
def test_a_bad_shard_raises_an_error_when_it_is_needed(tmp_path: Path, prefetchers: Any, kind: str) -> None:
    made = make_corpus(tmp_path, [40, 40, 40], repeats=np.arange(120) % 3 * ONE, facts="facts" in kind or "tar" in kind)
    path = {
        "missing tar": made.file(2, ".tar"),
        "cut tar": made.file(2, ".tar"),
        "cut index": made.file(2, ".npy"),
        "missing labels": made.view_file("000002.labels.npy"),
        "cut runs": made.view_file("000002.runs.npy"),
        "cut facts": made.view_file("000002.facts.npy"),
        "missing facts": made.view_file("000002.facts.npy"),
    }[kind]
    if kind.startswith("missing"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: -512 if path.suffix == ".tar" else -4])
    reader = sample_reader(made)
    schedule = schedule_of(reader, 1, 1, 8, World(), batch=4)
    done = drain(prefetchers(reader, schedule), schedule)
    assert done == drain(prefetchers(reader, schedule, threads=1), schedule)  # the steps before it succeeded
    with pytest.raises(IntegrityError, match="000002"):
        reader.read(0, np.arange(reader.space.num_positions(0)))


def test_a_shard_that_disappears_after_it_was_checked(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [10])
    reader = sample_reader(made)
    reader.read(0, np.arange(3))
    made.file(0, ".tar").unlink()
    with pytest.raises(IntegrityError, match=r"missing.*000000"):
        reader.read(0, np.arange(3))


def test_a_store_without_an_answer_raises_an_error(
    made: Made, prefetchers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    asked = list[str]()
    monkeypatch.setattr(SampleReader, "read", lambda self, epoch, positions: release.wait(20) or [])
    monkeypatch.setattr(Waits, "begin", lambda self, kind, describe: asked.append(f"{kind} {describe()}"))
    reader = sample_reader(made)
    schedule = schedule_of(reader, 2, 1, 4, World())
    prefetcher = prefetchers(reader, schedule, timeout_seconds=0.05)
    try:
        with pytest.raises(TagmillError, match=r"no answer for .*shards/00000\d\.tar"):
            prefetcher.take(0, next(schedule.steps(0, 0)).positions)
    finally:
        release.set()
    assert len(asked) == 1 and re.fullmatch(r"chunk .*/shards/00000\d\.tar", asked[0]), "and a report names it before"


def test_close_while_threads_are_busy_leaves_no_thread(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    read, begun = SampleReader.read, threading.Event()

    def slow(self: SampleReader, epoch: int, positions: Any) -> Any:
        begun.set()
        time.sleep(0.05)
        return read(self, epoch, positions)

    monkeypatch.setattr(SampleReader, "read", slow)
    reader = sample_reader(made)
    schedule = schedule_of(reader, 8, 2, 4, World())
    prefetcher = Prefetcher(reader, schedule.visits(0, 0), 64, 4, Meters())
    assert begun.wait(20)
    prefetcher.close()
    assert not set(threading.enumerate()) - before
