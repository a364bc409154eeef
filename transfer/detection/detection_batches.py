"""Batches for detectors: which image at which step, mirrored or not, is a function of a seed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from tagmill.training.step.seeds import seed_of
from tagmill.transfer.detection.coco_set import CocoSet
from tagmill.transfer.detection.targets import Target, flipped, image_tensor, training_target

THREADS = 4


@dataclass(frozen=True)
class DetectionBatch:
    """Images that could be decoded, float32 [3, height, width] in 0..1, with their targets."""

    places: tuple[int, ...]  # in the set
    images: list[torch.Tensor]
    targets: list[Target]
    skipped: dict[str, str]  # keys of the others, and why


def training_batches(data: CocoSet, batch: int, seed: int, first: int, steps: int) -> Iterator[DetectionBatch]:
    """Yields the batches of the steps from `first` to `steps`. Every image is in an epoch once, in another order in each,
    and mirrored in half of them; an epoch's last batch is smaller where they do not divide."""
    per_epoch = -(-len(data) // batch)
    plans = ((step // per_epoch, step % per_epoch) for step in range(first, steps))
    rows = (_order(len(data), seed, epoch)[at * batch : (at + 1) * batch].tolist() for epoch, at in plans)
    numbers = iter(range(first, steps))
    for made in _read_ahead(data, rows):
        step = next(numbers)
        mirrored = np.random.default_rng(seed_of(seed, step, 1)).random(len(made.places)) < 0.5
        pairs = [
            flipped(image, target) if turn else (image, target)
            for image, target, turn in zip(made.images, made.targets, mirrored, strict=True)
        ]
        yield DetectionBatch(made.places, [image for image, _ in pairs], [target for _, target in pairs], made.skipped)


def batches_in_order(data: CocoSet, batch: int, most: int | None = None) -> Iterator[DetectionBatch]:
    """Yields all images in the order of the set, or the first `most`."""
    count = len(data) if most is None else min(most, len(data))
    yield from _read_ahead(data, (list(range(at, min(at + batch, count))) for at in range(0, count, batch)))


def _order(count: int, seed: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng(seed_of(seed, epoch, 0)).permutation(count)


def _read_ahead(data: CocoSet, rows: Iterator[list[int]]) -> Iterator[DetectionBatch]:
    """Reads and decodes a batch while the one before is in use."""
    with ThreadPoolExecutor(THREADS) as decoders, ThreadPoolExecutor(1) as reader:
        ahead = next(((reader.submit(_batch, data, each, decoders)) for each in rows), None)
        while ahead is not None:
            made = ahead.result()
            ahead = next(((reader.submit(_batch, data, each, decoders)) for each in rows), None)
            yield made


def _batch(data: CocoSet, places: Sequence[int], decoders: ThreadPoolExecutor) -> DetectionBatch:
    facts = [data.images[place] for place in places]
    found = list(decoders.map(image_tensor, data.stored.read(places), facts))
    good = [(place, each) for place, each in zip(places, found, strict=True) if not isinstance(each, str)]
    return DetectionBatch(
        tuple(place for place, _ in good),
        [each.float() / 255 for _, each in good],
        [training_target(data.images[place], masks=data.masks) for place, _ in good],
        {
            data.stored.examples[place].key: each
            for place, each in zip(places, found, strict=True)
            if isinstance(each, str)
        },
    )
