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

# It reads an epoch of this size before its first batch unless these are smaller than by default: samples among which
# those of a shard are shuffled, as many as for other loaders here; batches ahead of each worker; bytes of a shard and of
# the local copies, of which only the latest are kept, as with a corpus that is larger than the disk.
BLOCK, AHEAD, SHARD, KEPT = 1024, 2, 16 << 20, 256 << 20

decoders: list[Pretended] = []


def encoded(samples: list[dict[str, Any]]) -> list[bytes]:
    return [sample["image"] for sample in samples]


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    clean_stale_shared_memory()  # the remains of a killed run would stop this one
    shuffled = {"shuffle": True, "shuffle_block_size": BLOCK}
    limits = {"predownload": AHEAD * options.batch, "cache_limit": KEPT}
    dataset = StreamingDataset(**place(options), **shuffled, **limits, batch_size=options.batch)
    while True:
        for jpegs in data_loader(dataset, options, batch_size=options.batch, drop_last=True, collate_fn=encoded):
            decoders[0].take(len(jpegs))
            yield len(jpegs)


if __name__ == "__main__":
    stopwatch.run(
        batches, ("mosaicml-streaming", "torch"), partial(make, shard=SHARD), totals=lambda: decoders[0].totals()
    )
