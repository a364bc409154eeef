"""Samples that may not be chosen: held-out ones, those that are taken down, and those that a person left out."""

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa

from tagmill.ingest.engines.engine import GeneratedTable
from tagmill.ingest.views.sample_locations import hex_keys
from tagmill.shards import Corpus
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.reader import whole_index
from tagmill.shards.storage.store import Store

LEFT_OUT = pa.schema([("key", pa.string())])
_Item = tuple[ShardEntry | None, tuple[int, ...] | None, tuple[str, ...]]
"""A shard and the ordinals that are left out (None: all); or no shard, and keys."""


def left_out_table(corpus: Corpus, excluded: Sequence[str] = ()) -> GeneratedTable:
    """Returns the keys of the samples that may not be chosen; `excluded`: further ones, 32 hex digits each."""
    taken = corpus.takedown.shards
    items: list[_Item] = [
        (entry, None if entry.split != "train" else tuple(taken[entry.name].tolist()), ())
        for entry in corpus.entries
        if entry.split != "train" or entry.name in taken
    ]
    if excluded:
        items.append((None, None, tuple(excluded)))
    return GeneratedTable(LEFT_OUT, items, partial(_keys, corpus.store))


def _keys(store: Store, item: _Item) -> Iterator[pa.RecordBatch]:
    entry, ordinals, keys_given = item
    if entry is None:
        yield pa.RecordBatch.from_arrays([pa.array(keys_given, pa.string())], schema=LEFT_OUT)
        return
    index = whole_index(store, entry)
    keys = hex_keys(index["key"] if ordinals is None else index["key"][list(ordinals)])
    yield pa.RecordBatch.from_arrays([keys], schema=LEFT_OUT)
