"""The first labels of each image, of scores that have more of them."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.engines.engine import GeneratedTable, Parquet, parquet_of
from tagmill.shards import Store
from tagmill.studies.selection.chosen_rows import SCORED


def top_labels(store: Store, names: list[str], top: int) -> GeneratedTable:
    """Returns the table `scored` of the `top` best labels of each image. `names`: of the files, each with whole images.

    Rows are taken in the order of the files, which is that of the teacher's outputs: rounded scores may be equal.
    """
    return GeneratedTable(SCORED, names, partial(_first_rows, parquet_of(store, names, SCORED), top))


def _first_rows(scores: Parquet, top: int, name: str) -> Iterator[pa.RecordBatch]:
    """Yields the first `top` rows of each image of a file, in which the rows of an image follow one another."""
    last, seen = None, 0  # key of the last row, and how many rows of it there have been
    for batch in scores.batches(name):
        keys = batch["key"]
        if not len(keys):
            continue
        changed = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
        starts = np.flatnonzero(np.concatenate([[True], changed]))
        lengths = np.diff(starts, append=len(keys))
        ranks = np.arange(len(keys)) - np.repeat(starts, lengths)
        if keys[0].as_py() == last:
            ranks[: lengths[0]] += seen
        last, seen = keys[-1].as_py(), int(ranks[-1]) + 1
        yield batch.filter(pa.array(ranks < top))
