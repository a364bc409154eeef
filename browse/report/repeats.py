"""How often each sample of a shard is in an epoch of a view."""

import numpy as np

from tagmill.shards import View
from tagmill.shards.arrays import Int64s
from tagmill.shards.formats.npy import read_rows
from tagmill.shards.storage.node_cache import identity_of
from tagmill.shards.view import EXTRA, STRIDE


def shard_repeats(view: View, shard: int) -> Int64s:
    """Returns the repeats that the view gives the samples of a shard, int64 [samples] in units of 2^-16; 0: left out."""
    line = view.shard(shard)
    if line.listed:
        name, total = f"{line.name}.runs.npy", sum(line.counts)
        identity = identity_of(view.digest, name)
        runs = read_rows(view.store, name, np.dtype("<u4"), (total,), 0, total, identity)
        whole = np.bincount(runs, minlength=line.samples).astype(np.int64)
    else:
        whole = np.full(line.samples, len(line.counts), np.int64)
    repeats: Int64s = whole << 16
    if line.fractions:
        front = -(-line.fractions // STRIDE)
        name, total = f"{line.name}.extras.npy", front + line.fractions
        rows = read_rows(view.store, name, EXTRA, (total,), front, total, identity_of(view.digest, name))
        repeats[rows["ordinal"]] += np.diff(rows["running"].astype(np.int64), prepend=0)
    return repeats
