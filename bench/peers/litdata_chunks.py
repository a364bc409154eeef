"""LitData: chunks on the local disk, StreamingDataset and StreamingDataLoader."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import litdata
import torch

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.torch_pictures import picture, workers

REPEATS = 16.0  # an epoch, by repeating: longer than a measurement


def read(path: str) -> dict[str, bytes]:
    return {"image": Path(path).read_bytes()}


def make(images: Path, folder: Path) -> None:
    paths = [str(path) for path in sorted(images.rglob("*.jpg"))]
    litdata.optimize(fn=read, inputs=paths, output_dir=str(folder), chunk_bytes="16MB", num_workers=1)


def cache(options: argparse.Namespace) -> dict[str, str]:
    """Returns StreamingDataset's argument for the folder of its chunks, if one is given."""
    return {"cache_dir": str(options.folder)} if options.folder else {}


def batches(options: argparse.Namespace) -> Iterator[torch.Tensor]:
    finished = picture(options)

    def change(sample: dict[str, bytes]) -> torch.Tensor:
        return finished(sample["image"])

    settings = {"shuffle": True, "drop_last": True, "subsample": REPEATS, "transform": change, **cache(options)}
    dataset = litdata.StreamingDataset(options.data, **settings)
    yield from litdata.StreamingDataLoader(dataset, batch_size=options.batch, drop_last=True, **workers(options))


if __name__ == "__main__":
    stopwatch.run(batches, ("litdata", "torchvision", "pillow", "torch"), make)
