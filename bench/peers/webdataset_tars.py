"""webdataset: tagmill's tars, shuffled by shard and in a buffer; batches are made in DataLoader's workers, as it
advises."""

import argparse
from collections.abc import Iterator
from typing import Any

import fsspec
import torch
import webdataset
from webdataset.gopen import gopen_schemes

from tagmill.bench.corpora import shards
from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.torch_pictures import delivered, picture, workers

BUFFER = 1000  # of its documentation's examples


def from_s3(url: str, mode: str = "rb", bufsize: int = 8192) -> Any:
    return fsspec.open(url, mode).open()


def batches(options: argparse.Namespace) -> Iterator[torch.Tensor]:
    if options.data.startswith("s3://"):
        gopen_schemes["s3"] = from_s3  # it does not support S3 itself: this is the way of its users
    tars = shards(options.data, ".tar")
    # Reads only the images from the tars: other members would cost it time for nothing.
    dataset = webdataset.WebDataset(tars, shardshuffle=len(tars), select_files=lambda name: name.endswith(".jpg"))
    dataset = dataset.repeat().shuffle(options.shuffle or BUFFER).to_tuple("jpg").map_tuple(picture(options))
    dataset = dataset.batched(options.batch, partial=False)
    for (images,) in webdataset.WebLoader(dataset, batch_size=None, **workers(options)):
        yield delivered(images, options)


if __name__ == "__main__":
    stopwatch.run(batches, ("webdataset", "torchvision", "pillow", "torch"))
