"""LitData: encoded images in batches by its StreamingDataset and StreamingDataLoader; no decoding."""

import argparse
from collections.abc import Iterator
from typing import Any

import litdata
from litdata.streaming import downloader

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.litdata_chunks import cache, make
from tagmill.bench.peers.pretended import Pretended
from tagmill.bench.peers.torch_pictures import workers

# Of local copies: less than an epoch, so that chunks are deleted when they have been used, and more than what its workers
# read ahead: with less it reads chunks several times, or waits for ever.
KEPT = "600MB"

decoders: list[Pretended] = []


def without_tls() -> None:
    """Lets it read from this service, which has no TLS, by obstore, its faster way."""
    given = vars(downloader)
    if "_OBSTORE_CLIENT_OPTIONS" in given:
        given["_OBSTORE_CLIENT_OPTIONS"] = {**(given["_OBSTORE_CLIENT_OPTIONS"] or {}), "allow_http": True}


def encoded(samples: list[dict[str, Any]]) -> list[bytes]:
    return [sample["image"] for sample in samples]


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    without_tls()
    kept = {"max_cache_size": KEPT, **cache(options)}
    dataset = litdata.StreamingDataset(options.data, shuffle=True, drop_last=True, **kept)
    settings = {"drop_last": True, "collate_fn": encoded, **workers(options)}
    loader = litdata.StreamingDataLoader(dataset, batch_size=options.batch, **settings)
    while True:
        for jpegs in loader:
            decoders[0].take(len(jpegs))
            yield len(jpegs)


if __name__ == "__main__":
    stopwatch.run(batches, ("litdata", "torch"), make, totals=lambda: decoders[0].totals())
