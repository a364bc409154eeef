"""The images of a labelled set as batches: read, made complete JPEGs, and decoded by the decoder of the loader."""

import io
import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from tagmill.ingest.reasons import Reason
from tagmill.pipeline import (
    EVAL_SHARE,
    Batch,
    Crops,
    ImageDecoder,
    Windows,
    World,
    eval_crops,
    square_crops,
    train_crops,
    whole_images,
)
from tagmill.shards.arrays import Int32s, Int64s
from tagmill.transfer.features.decoded import prepared_jpegs
from tagmill.transfer.finetune.mixing import mixed_slots, mixing_of, partner_of
from tagmill.transfer.finetune.recipe import Recipe
from tagmill.transfer.finetune.set_order import Turns
from tagmill.transfer.sets.labelled_set import LabelledSet

AT_A_TIME = 8  # images that a thread reads
MEASURED = 100  # images, for the size of those of a set
KEPT = 256 << 20  # bytes of images that are kept in memory, so that small sets are read and converted once


class SetBatch(NamedTuple):
    """A batch of a set."""

    batch: Batch  # uint8 images; `valid` is False where there is none
    reasons: list[str]  # [own], why an image could not be used; '' where it could

    @property
    def own(self) -> int:
        """Images from the front that belong to this process; others are there to be mixed with them."""
        return len(self.reasons)


class SetImages:
    """Reads and decodes the images of one set. Used by one thread at a time."""

    def __init__(self, labelled: LabelledSet, size: int, threads: int | None = None) -> None:
        """`size`: pixels of a side of the batches. `threads`: of decoding; None: the cores of this process."""
        self._set = labelled
        self._labels = [np.array(example.labels, np.int32) for example in labelled.examples]
        self._pool = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)))
        self._decoder = ImageDecoder(size, EVAL_SHARE, threads)
        self._kept, self._bytes = dict[int, tuple[bytes | None, str]](), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._decoder.close()

    def batch(self, places: Sequence[int], windows: Windows) -> SetBatch:
        """Returns the images at these places of the set, in windows. Raises StoreError for a store that fails."""
        jpegs, labels = self._jpegs(places), [self._labels[place] for place in places]
        batch = self._decoder.decode([jpeg for jpeg, _ in jpegs], windows, labels)
        pairs = zip(batch.valid.tolist(), jpegs, strict=True)
        return SetBatch(batch, ["" if valid else reason or str(Reason.DECODER_FAILED) for valid, (_, reason) in pairs])

    def _jpegs(self, places: Sequence[int]) -> list[tuple[bytes | None, str]]:
        """Returns complete, upright sRGB JPEGs, or None and why there is none."""
        new = [place for place in dict.fromkeys(places) if place not in self._kept]
        pieces = [new[start : start + AT_A_TIME] for start in range(0, len(new), AT_A_TIME)]
        read = self._pool.map(partial(prepared_jpegs, self._set), pieces)
        made = dict(zip(new, itertools.chain.from_iterable(read), strict=True))
        found = [made[place] if place in made else self._kept[place] for place in places]
        for place, (jpeg, reason) in made.items():
            if self._bytes < KEPT:
                self._kept[place], self._bytes = (jpeg, reason), self._bytes + len(jpeg or b"")
        return found


def train_batch(
    images: SetImages, turns: Turns, recipe: Recipe, seed: int, step: int, world: World | None = None
) -> SetBatch:
    """Returns the images of a step that this process has, cropped, flipped and, where the recipe says so, with what mixup mixes
    into them: a function of the seed, the step and the set, whatever the world. `world`: None is one process."""
    ranks = world or World()
    own = list(range(ranks.rank, len(turns.places), ranks.size))
    if not recipe.mixup:
        return _slots(images, turns, recipe, seed, own, len(own))
    share, following = mixing_of(seed, step, recipe.mixup, len(turns.places))
    slots = [*own, *sorted({*following[own].tolist()} - {*own})]
    while True:
        found = _slots(images, turns, recipe, seed, slots, len(own))
        valid = dict(zip(slots, found.batch.valid.tolist(), strict=True))
        if not (more := _unknown_partners([slot for slot in own if valid[slot]], following, valid)):
            return found._replace(batch=mixed_slots(found.batch, slots, len(own), share, following))
        slots += more  # the partner of an image could not be used: those after it are read too


def _unknown_partners(slots: Sequence[int], following: Int64s, valid: Mapping[int, bool]) -> list[int]:
    """Returns slots of which must be known whether they have an image, before the partners of `slots` are."""
    found = set[int]()
    for slot in slots:
        if partner_of(slot, following, valid) is None:
            after = int(following[slot])
            while after in valid:
                after = int(following[after])
            found.add(after)
    return sorted(found)


def _slots(images: SetImages, turns: Turns, recipe: Recipe, seed: int, slots: Sequence[int], own: int) -> SetBatch:
    some = Turns(turns.places[slots], turns.passes[slots])
    found = images.batch(some.places.tolist(), partial(_train_windows, recipe, seed, some))
    return SetBatch(found.batch, found.reasons[:own])


def eval_windows(recipe: Recipe, widths: Int32s, heights: Int32s) -> Crops:
    """Chooses the windows of test images."""
    if recipe.test_share is None:
        return whole_images(widths, heights)
    return eval_crops(widths, heights, recipe.size, recipe.test_share)


def typical_size(labelled: LabelledSet) -> tuple[int, int]:
    """Returns the median height and width of at most 100 images of a set, evenly spaced; (1, 1) if none can be read."""
    number = min(MEASURED, len(labelled))
    places = [place * len(labelled) // number for place in range(number)]
    found = (jpeg for place in places for jpeg, _ in prepared_jpegs(labelled, [place]))
    sizes = [Image.open(io.BytesIO(jpeg)).size[::-1] for jpeg in found if jpeg is not None] or [(1, 1)]
    height, width = (int(np.median(sides)) for sides in zip(*sizes, strict=True))
    return height, width


def count_reasons(into: Counter[str], found: SetBatch, counted: Sequence[bool]) -> None:
    """Adds the reasons of the images that are `counted`, [own]."""
    into.update(reason for reason, count in zip(found.reasons, counted, strict=True) if count and reason)


def _train_windows(recipe: Recipe, seed: int, turns: Turns, widths: Int32s, heights: Int32s) -> Crops:
    if recipe.squeezed:
        share = recipe.crop_share if recipe.cropped else 1.0
        return square_crops(seed, turns.passes, turns.places, widths, heights, share, flipped=recipe.flipped)
    drawn = train_crops(seed, turns.passes, turns.places, widths, heights)
    flip = drawn.flip & recipe.flipped
    return replace(drawn if recipe.cropped else eval_windows(recipe, widths, heights), flip=flip)
