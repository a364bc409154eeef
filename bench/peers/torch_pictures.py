"""The usual steps of torch's DataLoader users for a JPEG: decode, random resized crop, flip, and normalise for floats."""

import argparse
import importlib
import io
from collections.abc import Callable, Iterable
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms as v1
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from tagmill.bench.peers.stopwatch import MEAN, SIZE, STD

AHEAD = 2  # batches a worker, DataLoader's default


def transform(options: argparse.Namespace) -> Callable[[Any], torch.Tensor]:
    """Returns the transform of a Pillow image or a uint8 tensor [3, h, w], by `options.decoder`: the faster variant of
    each.

    For Pillow's images version 1 of the transforms is a little faster than 2; version 2 is made for tensors.
    """
    if options.decoder == "pillow":
        steps = [v1.RandomResizedCrop(SIZE), v1.RandomHorizontalFlip()]
        as_float = options.output == "float32"
        return v1.Compose([*steps, *([v1.ToTensor(), v1.Normalize(MEAN, STD)] if as_float else [v1.PILToTensor()])])  # type: ignore[no-any-return]
    crop = [v2.RandomResizedCrop(SIZE, antialias=True), v2.RandomHorizontalFlip()]
    normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    return v2.Compose(crop + (normalise if options.output == "float32" else []))  # type: ignore[no-any-return]


def decode(data: bytes, decoder: str) -> Any:
    """Decodes to Pillow's image or a uint8 tensor [3, h, w]."""
    if decoder == "pillow":
        return Image.open(io.BytesIO(data)).convert("RGB")
    if decoder == "torchcodec":
        return importlib.import_module("torchcodec.decoders").decode_jpeg(data, mode="RGB")
    return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)


def picture(options: argparse.Namespace) -> Callable[[bytes], torch.Tensor]:
    """Makes the finished image of a JPEG's bytes."""
    change, decoder = transform(options), options.decoder

    def finished(data: bytes) -> torch.Tensor:
        return change(decode(data, decoder))

    return finished


def workers(options: argparse.Namespace) -> dict[str, Any]:
    """DataLoader's settings, as its documentation advises: memory is pinned only for a GPU."""
    return {
        "num_workers": options.threads,
        "persistent_workers": True,
        "prefetch_factor": AHEAD,
        "pin_memory": options.device != "cpu",
    }


def delivered(images: torch.Tensor, options: argparse.Namespace) -> torch.Tensor:
    """Moves a batch to its device; a GPU copies pinned memory asynchronously."""
    return images.to(options.device, non_blocking=True)


def data_loader(dataset: Any, options: argparse.Namespace, **settings: Any) -> Iterable[Any]:
    return DataLoader(dataset, **workers(options), **settings)
