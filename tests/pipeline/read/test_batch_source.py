"""Tests the source of a run's batches: the batches of a schedule, from any turn, until it ends."""

from pathlib import Path

import numpy as np
import pytest

from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.plan import held_samples
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.batch_source import StoreSource
from tagmill.pipeline.read.prefetch import SampleReader
from tests.pipeline.corpora import make_corpus

CONFIG = LoaderConfig(view=None, batch_size=5, streams=2, window=1, chunk=4, size=8, threads=1, readers=2)


@pytest.mark.parametrize("turn", [0, 10])
def test_the_batches_of_a_schedule_from_a_turn_on(tmp_path: Path, turn: int) -> None:
    made = make_corpus(tmp_path, [23, 20])
    corpus = made.open()
    space = EpochSpace.of(corpus, None, "train")
    schedule = Schedule(space, corpus.digest, None, 0, 2, 1, 4, 5, False, 1, World())
    source = StoreSource(CONFIG, schedule, SampleReader(corpus, None, space), Meters(), slots=5, epoch=0, turn=turn)
    try:
        found = list(iter(source.next, None))
    finally:
        source.close()
    steps = list(schedule.steps(0, turn))
    assert [batch.after for batch in found] == [step.after for step in steps]
    for batch, step in zip(found, steps, strict=True):
        assert np.array_equal(batch.positions[: batch.count], step.positions)
    keys = [key.tobytes() for batch in found for key in batch.keys[: batch.count]]
    assert len(keys) == len(set(keys)) == 43 - turn and set(keys) <= set(made.keys)


def test_a_small_corpus_is_not_read_many_times_ahead(tmp_path: Path) -> None:
    """Windows of 600 samples, and epochs of nine without end."""
    corpus = make_corpus(tmp_path, [5, 4]).open()
    space = EpochSpace.of(corpus, None, "train")
    schedule = Schedule(space, corpus.digest, None, 0, 10, 2, 30, 4, False, None, World())
    source = StoreSource(CONFIG, schedule, SampleReader(corpus, None, space), Meters(), slots=4, epoch=0, turn=0)
    try:
        most = held_samples(600, 9, 4)
        assert most == 20 and held_samples(600, 9, 8) == 32 and held_samples(600, 1000, 8) == 600
        for _ in range(30):
            assert 9 <= source._prefetcher.num_open <= most
            assert source.next() is not None
    finally:
        source.close()
