"""torchvision: ImageFolder and torch's DataLoader, one long epoch of several permutations."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import RandomSampler
from torchvision.datasets import ImageFolder

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.torch_pictures import data_loader, decode, delivered, transform

ENDLESS = 1 << 20  # more images than a run reaches


def batches(options: argparse.Namespace) -> Iterator[torch.Tensor]:
    def load(path: str) -> object:
        return decode(Path(path).read_bytes(), options.decoder)

    dataset = ImageFolder(options.data, transform(options), loader=load)
    sampler = RandomSampler(dataset, num_samples=ENDLESS)
    for images, _ in data_loader(dataset, options, batch_size=options.batch, sampler=sampler):
        yield delivered(images, options)


if __name__ == "__main__":
    stopwatch.run(batches, ("torchvision", "torchcodec", "pillow", "torch"))
