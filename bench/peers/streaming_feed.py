"""MosaicML Streaming: encoded images in batches by its StreamingDataset and torch's DataLoader; no decoding."""

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

from streaming import StreamingDataset
from streaming.base.util import clean_stale_shared_memory

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.pretended import Pretended
from tagmill.bench.peers.streaming_mds import make, place
from tagmill.bench.peers.torch_pictures import data_loader

# By default it would read an epoch of this size before its first batch. Samples among which those of a shard are shuffled,
# as many as for other loaders here; bytes of a shard; bytes of local copies, less than an epoch, the oldest are deleted.
BLOCK, SHARD, KEPT = 1024, 16 << 20, 384 << 20

decoders: list[Pretended] = []


def encoded(samples: list[dict[str, Any]]) -> list[bytes]:
    return [sample["image"] for sample in samples]


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    clean_stale_shared_memory()  # the remains of a killed run would stop this one
    settings = {"shuffle": True, "shuffle_block_size": BLOCK, "batch_size": options.batch, "cache_limit": KEPT}
    dataset = StreamingDataset(**place(options), **settings)
    while True:
        for jpegs in data_loader(dataset, options, batch_size=options.batch, drop_last=True, collate_fn=encoded):
            decoders[0].take(len(jpegs))
            yield len(jpegs)


if __name__ == "__main__":
    stopwatch.run(
        batches, ("mosaicml-streaming", "torch"), partial(make, shard=SHARD), totals=lambda: decoders[0].totals()
    )
