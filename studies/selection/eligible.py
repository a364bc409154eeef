"""Samples that may not be chosen: held-out ones, and those that are taken down."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.ingest.engines.engine import GeneratedTable
from tagmill.shards import Corpus
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.reader import whole_index
from tagmill.shards.storage.store import Store

LEFT_OUT = pa.schema([("key", pa.string())])
_Item = tuple[ShardEntry, tuple[int, ...] | None]  # a shard, and the ordinals that are left out; None: all


def left_out_table(corpus: Corpus) -> GeneratedTable:
    """Returns the keys of the samples that may not be chosen."""
    taken = corpus.takedown.shards
    items: list[_Item] = [
        (entry, None if entry.split != "train" else tuple(taken[entry.name].tolist()))
        for entry in corpus.entries
        if entry.split != "train" or entry.name in taken
    ]
    return GeneratedTable(LEFT_OUT, items, partial(_keys, corpus.store))


def _keys(store: Store, item: _Item) -> Iterator[pa.RecordBatch]:
    entry, ordinals = item
    index = whole_index(store, entry)
    keys = hex_keys(index["key"] if ordinals is None else index["key"][list(ordinals)])
    yield pa.RecordBatch.from_arrays([keys], schema=LEFT_OUT)


def hex_keys(keys: npt.NDArray[Any]) -> pa.StringArray:
    """Returns binary keys of 16 bytes as text of 32 hex digits."""
    text = np.ascontiguousarray(keys).tobytes().hex().encode()
    return pa.array(np.frombuffer(text, "S32")).cast(pa.string())
