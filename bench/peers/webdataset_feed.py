"""webdataset: encoded images in batches, shuffled by shard and in a buffer, by DataLoader's workers; no decoding."""

import argparse
from collections.abc import Iterator

import webdataset

from tagmill.bench.corpora import shards
from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.pretended import Pretended
from tagmill.bench.peers.torch_pictures import workers
from tagmill.bench.peers.webdataset_tars import BUFFER

decoders: list[Pretended] = []


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    tars = shards(options.data, ".tar")
    dataset = webdataset.WebDataset(tars, shardshuffle=len(tars), select_files=lambda name: name.endswith(".jpg"))
    dataset = dataset.repeat().shuffle(BUFFER).to_tuple("jpg").batched(options.batch, partial=False)
    for (jpegs,) in webdataset.WebLoader(dataset, batch_size=None, **workers(options)):
        decoders[0].take(len(jpegs))
        yield len(jpegs)


if __name__ == "__main__":
    stopwatch.run(batches, ("webdataset", "torch"), totals=lambda: decoders[0].totals())
