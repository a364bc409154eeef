"""Tests that a loader's backend and run are kept if possible, and end if they fail or are dropped."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.engine import Engine
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.prefetch import SampleReader
from tagmill.shards.errors import IntegrityError, TagmillError
from tests.pipeline.corpora import Made, make_corpus

CONFIG = LoaderConfig(view=None, batch_size=5, streams=2, window=1, chunk=4, size=8, threads=1, readers=2)
PLACES = 5


@pytest.fixture
def ready(tmp_path: Path) -> Made:
    return make_corpus(tmp_path, [23, 20])


@pytest.fixture
def engine(ready: Made) -> Iterator[Engine]:
    found = engine_of(ready)
    yield found
    found.close()


def engine_of(ready: Made) -> Engine:
    corpus = ready.open()
    return Engine(CONFIG, [SampleReader(corpus, None, EpochSpace.of(corpus, None, "train"))], Meters())


def schedule_of(ready: Made) -> Schedule:
    corpus = ready.open()
    return Schedule(EpochSpace.of(corpus, None, "train"), corpus.digest, None, 0, 2, 1, 4, 5, False, None, World())


def test_a_run_is_kept_only_at_its_own_turn(engine: Engine, ready: Made) -> None:
    schedule = schedule_of(ready)
    run = engine.run_from(schedule, PLACES, 0, 0)
    engine.next(run)
    assert engine.run_from(schedule, PLACES, 0, 5) is run
    moved = engine.run_from(schedule, PLACES, 0, 10)
    assert moved is not run and moved.at == (0, 10)
    with pytest.raises(TagmillError, match="iterate again"):
        engine.next(run)
    assert engine.run is moved, "an old run's end is not the new one's"
    assert engine.run_from(schedule_of(ready), PLACES, 0, 10) is not moved, "of another schedule"


def test_a_run_that_fails_is_ended(engine: Engine, ready: Made) -> None:
    ready.file(1, ".tar").unlink()
    run = engine.run_from(schedule_of(ready), PLACES, 0, 0)
    with pytest.raises(IntegrityError, match="000001"):
        while True:
            engine.next(run)
    assert engine.run is None and not [one for one in threading.enumerate() if one.name.startswith("tagmill-batch")]


def test_an_engine_that_is_dropped_ends_its_threads(ready: Made) -> None:
    before = set(threading.enumerate())
    engine = engine_of(ready)
    engine.next(engine.run_from(schedule_of(ready), PLACES, 0, 0))
    assert set(threading.enumerate()) - before
    del engine
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    assert not set(threading.enumerate()) - before
