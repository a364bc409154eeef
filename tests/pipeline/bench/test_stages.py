"""Tests the parts of the loader that are measured: they do the work of a training run, and leave no thread."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from tagmill.pipeline import LoaderConfig
from tagmill.pipeline.bench.stages import LEAST_BATCHES, WARM_BATCHES, ResidentSource, Stages
from tests.pipeline.corpora import Made, make_corpus

CONFIG = LoaderConfig(batch_size=4, streams=2, chunk=4, size=8, threads=1, backend="cpu")
TICK = 0.25


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [30, 30])


@pytest.fixture
def stages(made: Made) -> Iterator[Stages]:
    """With a clock of which each look takes a tick."""
    ticks = iter(range(1_000_000))
    with Stages(made.url, CONFIG, clock=lambda: TICK * next(ticks)) as found:
        yield found


def test_each_part_is_measured_by_the_clock_for_some_batches(stages: Stages) -> None:
    before = set(threading.enumerate())
    for part in (stages.reading, lambda s: stages.decoding("cpu", s), lambda s: stages.whole("cpu", s)):
        found = part(2.0)
        assert found.images % 4 == 0 and found.images >= 4 * LEAST_BATCHES
        assert found.seconds >= 2.0 and found.images == pytest.approx(4 * found.seconds / TICK, abs=8)
        assert found.bytes > 100 * found.images and found.cpu_seconds >= 0
        assert set(threading.enumerate()) <= before, "nothing works ahead while another part is measured"


def test_reading_goes_on_where_it_stopped(stages: Stages) -> None:
    stages.reading(0.1)
    first = stages._at
    stages.reading(0.1)
    assert first == (0, 4 * (WARM_BATCHES + LEAST_BATCHES)) and stages._at > first
    assert stages.images_read == 2 * first[1]


def test_decoding_alone_takes_the_images_of_the_corpus_and_reads_none(stages: Stages, made: Made) -> None:
    stages.reading(0.1)
    kept = [jpeg for batch in stages._kept for jpeg in batch.jpegs]
    assert kept and set(kept) <= set(made.jpegs)
    read = stages.images_read
    stages.decoding("pillow", 0.1)
    assert stages.images_read == read


def test_a_resident_source_has_no_end_and_counts_its_batches(stages: Stages) -> None:
    stages.reading(0.1)
    source = ResidentSource(stages._kept[:2])
    found = [source.next() for _ in range(5)]
    assert [batch.number for batch in found] == list(range(5))
    assert np.array_equal(found[0].positions, found[4].positions)
    assert not np.array_equal(found[0].positions, found[1].positions)
