"""Tests what all ranks of a world together read from the store: each image of a chunk once."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagmill.pipeline import Loader, LoaderConfig, World
from tagmill.pipeline.read.prefetch import SampleReader
from tagmill.shards.storage.store import Store
from tests.pipeline.corpora import make_corpus

CHUNK, STREAMS, WINDOW = 4, 4, 2
BLOCK = CHUNK * STREAMS * WINDOW


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_no_chunk_is_read_twice_outside_the_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int) -> None:
    made = make_corpus(tmp_path, [64, 64, 21])  # four blocks, and a tail of 21
    reads: Counter[tuple[int, ...]] = Counter()
    ranges: Counter[tuple[str, int, int]] = Counter()
    read, read_ranges = SampleReader.read, Store.read_ranges

    def counted(self: Any, epoch: int, positions: Any) -> Any:
        reads[tuple(np.asarray(positions).tolist())] += 1
        return read(self, epoch, positions)

    def counted_range(self: Any, name: str, places: Any, *more: Any, **told: Any) -> Any:
        if name.endswith(".tar"):
            ranges[name, places[0][0], places[-1][1]] += 1
        return read_ranges(self, name, places, *more, **told)

    monkeypatch.setattr(SampleReader, "read", counted)
    monkeypatch.setattr(Store, "read_ranges", counted_range)
    config = LoaderConfig(
        batch_size=8, streams=STREAMS, window=WINDOW, chunk=CHUNK, epochs=1, threads=1, backend="pillow"
    )
    seen: list[int] = []
    for rank in range(ranks):
        with Loader(made.url, config, World(rank, ranks)) as loader:
            tail = loader._schedule.plan(0).tail_start  # type: ignore[union-attr]
            seen += [p for batch in loader for p in batch.positions.tolist() if p >= 0]
    assert sorted(seen) == list(range(149)) and tail == 4 * BLOCK
    whole = Counter({positions: count for positions, count in reads.items() if len(positions) == CHUNK})
    times = Counter(position for positions in reads.elements() for position in positions)
    assert set(times.values()) == {1}  # no image is read twice, not even in the tail
    in_chunks = [
        positions for positions in whole if positions[0] % CHUNK == 0 and positions[-1] == positions[0] + CHUNK - 1
    ]
    assert len(in_chunks) >= tail // CHUNK and max(whole.values()) == 1
    assert max(ranges.values()) == 1  # nor is a range of a tar
