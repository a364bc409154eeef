"""Repeats are read as they were written."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.browse.report.repeats import shard_repeats
from tagmill.shards import View
from tagmill.shards.view import ONE
from tests.pipeline.corpora import make_corpus


@settings(max_examples=8)
@given(st.lists(st.sampled_from([0, 1, ONE - 1, ONE, ONE + 7, 3 * ONE, 5 * ONE + 9]), min_size=7, max_size=7))
def test_what_was_written_is_read(repeats: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = make_corpus(Path(folder), (4, 3), holdout=(2,), repeats=np.array(repeats, np.int64))
        view = View.open(made.open(), "default")
        found = np.concatenate([shard_repeats(view, shard) for shard in range(3)])
        assert found.tolist() == [*repeats, ONE, ONE]
