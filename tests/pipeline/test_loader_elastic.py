"""Tests any corpus, view and order arguments: a run that resumes as another number of ranks after every batch yields
exactly what one undisturbed rank does, holes included."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Batch, Loader, LoaderConfig, World
from tagmill.pipeline.order.plan import local_counts
from tagmill.shards.view import ONE
from tests.pipeline.corpora import make_corpus
from tests.pipeline.epochs import batches_left

REPEATS = st.sampled_from([0, ONE, ONE, 2 * ONE, ONE // 3, ONE + ONE // 2, 3 * ONE + 9])
MOST_RANKS = 16
Told = Counter[tuple[int, bytes, bool]]


def told(batch: Batch) -> Told:
    """Returns the content of a batch's real slots: position, key, and whether the image is valid."""
    rows = range(batch.count)
    return Counter((int(batch.positions[row]), bytes(batch.keys[row]), bool(batch.valid[row])) for row in rows)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_another_number_of_ranks_after_every_batch(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    repeats = data.draw(st.lists(REPEATS, min_size=sum(sizes), max_size=sum(sizes)))
    holes = data.draw(st.sets(st.integers(0, sum(sizes) - 1), max_size=6))
    streams, batch_size = data.draw(st.integers(1, 20)), data.draw(st.integers(6, 40))
    config = LoaderConfig(
        batch_size=batch_size,
        streams=streams,
        window=data.draw(st.integers(1, 3)),
        chunk=data.draw(st.integers(1, 6)),
        seed=data.draw(st.integers(0, 2**40)),
        size=8, threads=1, readers=1, epochs=2, backend="cpu", failure_budget=1.0,
    )  # fmt: skip
    worlds = [n for n in range(1, min(MOST_RANKS, streams) + 1) if local_counts(streams, batch_size, n)[0] > 0]
    with tempfile.TemporaryDirectory() as folder:
        made = make_corpus(
            Path(folder), sizes, repeats=repeats, replace=dict.fromkeys(holes, b"gone"), picture_size=(8, 8)
        )
        total = made.copies(0) + made.copies(1)
        assume(made.copies(0).sum() > 0 and made.copies(1).sum() > 0)
        corpus = made.open()
        with Loader(corpus, config, World()) as loader:
            undisturbed = [told(batch) for batch in batches_left(loader)]
            end = loader.state_dict()
            state = {**end, "epoch": 0, "turn": 0}
        handed_out = sum((Counter(batch) for batch in undisturbed), Told())
        seen = np.zeros(len(made.keys), np.int64)
        for (_, key, valid), times in handed_out.items():
            assert valid == (made.number_of(key) not in holes)
            seen[made.number_of(key)] += times
        assert (seen == total).all()
        for expected in undisturbed:
            size, found, after = data.draw(st.sampled_from(worlds)), Told(), []
            for rank in range(size):
                with Loader(corpus, config, World(rank, size)) as loader:
                    loader.load_state_dict(json.loads(json.dumps(state)))
                    found += told(next(iter(loader)))
                    after.append(loader.state_dict())
            assert found == expected and all(each == after[0] for each in after)
            state = after[0]
        assert state == end
