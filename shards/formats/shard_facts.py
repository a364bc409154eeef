"""The facts of a shard in a view: all that reading its samples takes beside their bytes, in the order of the runs.

A loader reads consecutive samples of a run. Their ordinals, index records and labels are in three files; here they are
together, so that a chunk's facts are one ranged read.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.shards.arrays import Int32s
from tagmill.shards.formats.shard_index import INDEX

FACTS_VERSION = 1
FACTS_ROWS = 4  # rows for each sample of a shard, above which no facts are written: they would exceed 2 % of its bytes

# `labels`, int32 [K], follow these fields.
FACT = np.dtype([("ordinal", "<u4"), *INDEX.descr])


@lru_cache
def facts_dtype(max_labels: int) -> np.dtype[Any]:
    """Returns the dtype of a row of facts with K = `max_labels` labels."""
    return np.dtype([*FACT.descr, ("labels", "<i4", (max_labels,))])


def num_rows(counts: Iterable[int], fractions: int) -> int:
    """Returns the rows of a shard's facts: those of its different runs, then one for each sample with a fraction.

    A run is a part of the one before it, so runs of the same length are the same, and their rows are written once.
    """
    return sum(set(counts)) + fractions


def first_row(counts: Sequence[int], copy: int) -> int:
    """Returns the first row of run `copy`; that of the samples with a fraction for a copy beyond the last."""
    length = counts[copy] if copy < len(counts) else 0
    return sum({count for count in counts if count > length})


def make_facts(
    index: npt.NDArray[Any], labels: Int32s, runs: Sequence[npt.NDArray[Any]], fractions: npt.NDArray[Any]
) -> npt.NDArray[Any] | None:
    """Returns the facts of a shard: its INDEX records, labels [samples, K], the ordinals of each run and of the samples
    with a fraction. None if there are more than FACTS_ROWS rows a sample."""
    different = {len(run): run for run in runs}  # in descending order of length
    ordinals = np.concatenate([*different.values(), fractions]).astype(np.int64)
    if len(ordinals) > FACTS_ROWS * len(index):
        return None
    rows = np.empty(len(ordinals), facts_dtype(labels.shape[1]))
    rows["ordinal"] = ordinals
    for name in INDEX.names or ():
        rows[name] = index[name][ordinals]
    rows["labels"] = labels[ordinals]
    return rows
