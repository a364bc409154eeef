"""MosaicML Streaming: MDS shards on the local disk, StreamingDataset and torch's DataLoader."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from streaming import MDSWriter, StreamingDataset
from streaming.base.util import clean_stale_shared_memory

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.torch_pictures import data_loader, picture

SAMPLES = 1 << 16  # an epoch, by repeating: longer than a measurement


def make(images: Path, folder: Path, shard: int | None = None) -> None:
    """Writes MDS shards of at most `shard` bytes, None for its default."""
    settings = {} if shard is None else {"size_limit": shard}
    with MDSWriter(out=str(folder), columns={"image": "bytes"}, **settings) as writer:
        for path in sorted(images.rglob("*.jpg")):
            writer.write({"image": path.read_bytes()})


def place(options: argparse.Namespace) -> dict[str, str]:
    """Returns StreamingDataset's arguments for data in a folder, or on S3 with a local folder for its shards."""
    far = options.data.startswith("s3://")
    return {"remote": options.data, "local": str(options.folder)} if far else {"local": options.data}


def batches(options: argparse.Namespace) -> Iterator[torch.Tensor]:
    clean_stale_shared_memory()  # the remains of a killed run would stop this one
    finished = picture(options)

    class Pictures(StreamingDataset):  # type: ignore[misc]  # comes without types
        def __getitem__(self, at: int) -> torch.Tensor:
            return finished(super().__getitem__(at)["image"])

    dataset = Pictures(**place(options), shuffle=True, batch_size=options.batch, epoch_size=SAMPLES)
    yield from data_loader(dataset, options, batch_size=options.batch, drop_last=True)


if __name__ == "__main__":
    stopwatch.run(batches, ("mosaicml-streaming", "torchvision", "pillow", "torch"), make)
