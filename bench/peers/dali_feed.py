"""DALI: its own webdataset reader over tagmill's tars and indexes, entirely in C++; no decoding."""

import argparse
from collections.abc import Iterator

from nvidia.dali import fn
from nvidia.dali.pipeline import Pipeline

from tagmill.bench.corpora import shards
from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.dali_reader import AHEAD, BUFFER
from tagmill.bench.peers.pretended import Pretended

decoders: list[Pretended] = []


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    pipeline = Pipeline(options.batch, options.threads, None, prefetch_queue_depth=AHEAD, seed=1)
    with pipeline:
        tars, indexes = (shards(options.data, suffix) for suffix in (".tar", ".idx"))
        found = fn.readers.webdataset(
            paths=tars, index_paths=indexes, ext=["jpg"], random_shuffle=True, initial_fill=BUFFER, name="reader"
        )
        pipeline.set_outputs(found)
    pipeline.build()
    while True:
        (jpegs,) = pipeline.run()
        decoders[0].take(len(jpegs))
        yield len(jpegs)


if __name__ == "__main__":
    stopwatch.run(batches, ("nvidia-dali-cuda130",), totals=lambda: decoders[0].totals())
