"""Applies colour jitter, RandAugment and mixup partners to a batch of decoded images, on the batch's device.

`tagmill.pipeline.augment.draws` draws the operations of each image; here rows with the same operation are grouped.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment import colour
from tagmill.pipeline.augment.draws import jitters, mixes, operations
from tagmill.pipeline.batch import Batch, Mix, sent
from tagmill.pipeline.config import MOST_MAGNITUDE, LoaderConfig
from tagmill.shards.arrays import Bools, Int64s

Share = Callable[[Bools, Callable[[Bools], None]], None]

# Images in one call: on a CPU the wider intermediate numbers should stay in its cache (one at a time is fastest); on a
# GPU each call is expensive.
IMAGES_A_CALL = {"cpu": 1}
IMAGES_A_GPU_CALL = 128
ADJUSTMENTS = (
    colour.brightness,
    colour.contrast,
    colour.saturation,
    colour.hue,
)  # in the order of the jitter's strengths
# RandAugment's fourteen operations, numbered as torchvision lists them; those of SIGNED are negated half of the time.
OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "saturation",
    "contrast",
    "sharpness",
    "posterise",
    "solarise",
    "autocontrast",
    "equalise",
)
SIGNED = range(1, 10)


def has_augmentations(config: LoaderConfig) -> bool:
    """Returns whether `apply_augmentations` changes anything."""
    return bool(any(config.jitter) or config.randaugment[0] or config.mixup)


def apply_augmentations(
    batch: Batch, config: LoaderConfig, epoch: int | Int64s, positions: Int64s, valid: Bools, share: Share
) -> Batch:
    """Returns a batch of decoded uint8 images with jitter, RandAugment (both in place) and mixup partners, as `config`
    says. `epoch`, `positions` and `valid` are the batch's, on the host; slots without an image stay zero. `share` is
    the backend's function that divides rows among threads."""
    if any(config.jitter) or config.randaugment[0]:
        pixels = batch.images.contiguous()  # planar, the fastest layout for the operations
        if any(config.jitter):
            drawn = jitters(config.seed, epoch, positions, config.jitter)
            share(valid, lambda rows: jitter(pixels, rows, *drawn, config.jitter))
        if config.randaugment[0]:
            chosen, negated = operations(config.seed, epoch, positions, config.randaugment[0])
            share(valid, lambda rows: randaugment(pixels, rows, chosen, negated, config.randaugment[1]))
        batch.images.copy_(pixels)
    if config.mixup:
        partners, shares = mixes(config.seed, epoch, positions, valid, config.mixup)
        device = batch.images.device
        batch = replace(batch, mix=Mix(sent(partners, device), sent(shares.astype(np.float32), device)))
    return batch


def jitter(
    pixels: torch.Tensor, valid: Bools, factors: npt.NDArray[np.float64], order: Int64s, strengths: tuple[float, ...]
) -> None:
    """Adjusts images (uint8 [n, 3, s, s]) in place by `factors` in `order`, both [4, n]; adjustments of strength 0 are
    skipped."""
    factors = factors.astype(np.float32)
    for step in order:
        for number, adjust in enumerate(ADJUSTMENTS):
            if strengths[number]:
                for rows in _rows(valid & (step == number), pixels):
                    row_factors = sent(factors[number, rows], pixels.device)
                    _change(pixels, rows, partial(adjust, factors=row_factors))


def randaugment(pixels: torch.Tensor, valid: Bools, chosen: Int64s, negated: Bools, magnitude: int) -> None:
    """Applies the operations `chosen`, [N, n], to images (uint8 [n, 3, s, s]) in place, one row after the other."""
    for step, signs in zip(chosen, negated, strict=True):
        for number in range(1, len(OPERATIONS)):
            for sign in (1, -1) if number in SIGNED else (1,):
                here = valid & (step == number) & (signs == (sign < 0) if number in SIGNED else True)
                for rows in _rows(here, pixels):
                    _change(pixels, rows, partial(operate, number=number, magnitude=magnitude, sign=sign))


def operate(pixels: torch.Tensor, number: int, magnitude: int, sign: int) -> torch.Tensor:
    """Applies operation `number` of OPERATIONS to images (uint8 [n, 3, s, s]), at `magnitude` of 30 and with `sign` +1
    or -1.

    The scales are torchvision's: shear 0.3, translation 150/331 of the side, 30 degrees, 0.9 of colour and sharpness, 4
    bits, 255 levels of the threshold.
    """
    name, share = OPERATIONS[number], magnitude / MOST_MAGNITUDE
    if name in ("shear_x", "shear_y", "translate_x", "translate_y", "rotate"):
        return warp(pixels, name, sign * share)
    if name in ("brightness", "saturation", "contrast", "sharpness"):
        factors = torch.full((len(pixels),), 1.0 + sign * 0.9 * share, device=pixels.device)
        made: torch.Tensor = getattr(colour, name)(pixels, factors)
        return made
    if name == "posterise":
        return colour.posterise(pixels, 8 - round(4 * share))
    if name == "solarise":
        return colour.solarise(pixels, 255.0 * (1.0 - share))
    return {"autocontrast": colour.autocontrast, "equalise": colour.equalise}.get(name, torch.clone)(pixels)


def warp(pixels: torch.Tensor, name: str, share: float) -> torch.Tensor:
    """Moves each pixel from its nearest source; black outside the image."""
    size = pixels.shape[-1]
    sources, inside = _sources_there(name, share, size, pixels.device)
    return (pixels.flatten(2).index_select(2, sources) * inside).view(pixels.shape)


@lru_cache(maxsize=160)  # ten for a size of images, and the size may vary
def _sources_there(name: str, share: float, size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns `_sources` on a device, cached: indices, int32 [size x size], and a mask of those inside the image, bool."""
    sources = sent(_sources(name, share, size).astype(np.int32), device)
    return sources.clamp(min=0), sources >= 0


def _sources(name: str, share: float, size: int) -> Int64s:
    """Returns the source pixel of each pixel of the moved image, int64 [size x size]; -1 is outside. Computed on the
    host in float64, so that all devices agree."""
    down, across = np.mgrid[:size, :size].astype(np.float64)
    x, y = across, down
    if name == "shear_x":
        x = across + 0.3 * share * (down + 0.5)
    elif name == "shear_y":
        y = down + 0.3 * share * (across + 0.5)
    elif name == "translate_x":
        x = across - int(150 / 331 * size * share)
    elif name == "translate_y":
        y = down - int(150 / 331 * size * share)
    else:
        middle, angle = (size - 1) / 2, math.radians(30 * share)
        x = math.cos(angle) * (across - middle) - math.sin(angle) * (down - middle) + middle
        y = math.sin(angle) * (across - middle) + math.cos(angle) * (down - middle) + middle
    x, y = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    return np.where(inside, y * size + x, -1).ravel()


def _rows(chosen: Bools, pixels: torch.Tensor) -> list[Int64s]:
    """Returns the indices of true entries, grouped by the number of images that suits the device of `pixels`."""
    rows, step = np.flatnonzero(chosen), IMAGES_A_CALL.get(pixels.device.type, IMAGES_A_GPU_CALL)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _change(pixels: torch.Tensor, rows: Int64s, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    if len(rows) == 1:
        row = int(rows[0])
        pixels[row] = change(pixels[row : row + 1])[0]
        return
    indices = sent(rows, pixels.device)
    pixels[indices] = change(pixels[indices])
