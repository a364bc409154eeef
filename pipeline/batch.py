"""What the loader yields: images, labels as ids and offsets, and a mask of the slots that hold an image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.config import check_units
from tagmill.pipeline.order.schedule import PADDING

DTYPES = {"uint8": torch.uint8, "float32": torch.float32, "bfloat16": torch.bfloat16}


class Terms(NamedTuple):
    """The m (image, label) pairs of a batch, for a loss whose target is 1/k on each of an image's k labels. With mixup
    there are twice as many pairs: an image's own weigh share / k, its partner's (1 - share) / k."""

    rows: torch.Tensor  # int64 [m]
    ids: torch.Tensor  # int64 [m]
    weights: torch.Tensor  # float32 [m]


class Mix(NamedTuple):
    """Mixup of b images: share x the image + (1 - share) x its partner. Partners are a permutation of the images."""

    partners: torch.Tensor  # int64 [b]
    shares: torch.Tensor  # float32 [b]; 1 where nothing is mixed in

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Mix":
        """Returns a copy on another device."""
        return Mix(*(part.to(device, non_blocking=non_blocking) for part in self))

    def pin_memory(self) -> "Mix":
        """Returns a copy in page-locked host memory; tensors that are on a GPU already stay there."""
        return Mix(*(part if part.is_cuda else part.pin_memory() for part in self))


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of b images in compressed sparse row form: those of image i are `ids[offsets[i] : offsets[i + 1]]`."""

    ids: torch.Tensor  # int64 [m]
    offsets: torch.Tensor  # int64 [b + 1]

    @classmethod
    def of(cls, rows: list[npt.NDArray[np.int32]]) -> "Labels":
        """Builds the offsets from the ids of each image."""
        counts = [len(row) for row in rows]
        ids = np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64)
        return cls(torch.from_numpy(ids), torch.from_numpy(np.cumsum([0, *counts], dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> torch.Tensor:
        """Returns the ids of one image, int64 [k]."""
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def terms(self, *, shared: bool = True) -> Terms:
        """Returns row, id and weight of every pair, without waiting for a device. The weight is 1/k of an image's k labels,
        or 1 if not `shared`."""
        counts = self.offsets.diff()
        # Without output_size, repeat_interleave copies a sum to the host to learn it.
        rows = torch.repeat_interleave(counts, output_size=len(self.ids))
        weights = 1.0 / counts[rows].to(torch.float32) if shared else torch.ones_like(rows, dtype=torch.float32)
        return Terms(rows, self.ids, weights)

    def shuffled(self, seed: int) -> "Labels":
        """Returns the labels permuted among the labelled images, as the control of an experiment. Uses a random cycle,
        not a permutation, so that no image keeps its labels; with one labelled image its labels are dropped."""
        draw, labels = torch.Generator().manual_seed(seed), self.to("cpu")
        rows = labels.offsets.diff().nonzero().flatten()
        order = rows[torch.randperm(len(rows), generator=draw)]
        new_rows = [labels.ids[:0]] * len(labels)
        for row, other in zip(order.tolist(), order.roll(1).tolist(), strict=True) if len(rows) > 1 else ():
            new_rows[row] = labels[other]
        return Labels.of([ids.numpy() for ids in new_rows]).to(self.ids.device)

    def tensors(self) -> list[torch.Tensor]:
        """Returns ids and offsets."""
        return [self.ids, self.offsets]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Labels":
        """Returns a copy on another device."""
        ids = self.ids.to(device, non_blocking=non_blocking)
        return Labels(ids, self.offsets.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Labels":
        """Returns a copy in page-locked host memory, which a GPU reads without the CPU."""
        return Labels(self.ids.pin_memory(), self.offsets.pin_memory())


@dataclass(frozen=True)
class Normalisation:
    """Parameters of (pixel - mean) / std for red, green and blue in units of 0..255, and the `dtype` of the result."""

    mean: Sequence[float]  # [3]
    std: Sequence[float]  # [3]
    dtype: torch.dtype

    def __post_init__(self) -> None:
        check_units("mean", self.mean)
        check_units("std", self.std)

    def factors(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns scale and shift, [3] each, so that pixel * scale + shift is the same."""
        scale = tuple(1.0 / each for each in self.std)
        return scale, tuple(-mean * factor for mean, factor in zip(self.mean, scale, strict=True))


Normalise = Callable[[torch.Tensor, torch.Tensor, Normalisation, Mix | None], torch.Tensor]


def normalise(images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None) -> torch.Tensor:
    """Normalises uint8 images [n, 3, size, size] on their device. The result is in channels_last memory, and zero where
    `valid` (bool [n]) is False. With `mix`, images are also mixed, in float32."""
    shift, scale = factors(how, images.device)
    return scaled(images, valid, shift, scale, how.dtype, *(mix or (None, None)))


def scaled(
    images: torch.Tensor,
    valid: torch.Tensor,
    shift: torch.Tensor,
    scale: torch.Tensor,
    dtype: torch.dtype,
    partners: torch.Tensor | None,
    shares: torch.Tensor | None,
) -> torch.Tensor:
    """Returns (images - shift) * scale as `dtype`, mixed with the partners if any: the definition that
    `tagmill.pipeline.decode.compiled_normalise` compiles."""
    floats = (images.to(torch.float32) - shift) * (scale * valid.view(-1, 1, 1, 1))
    if partners is not None and shares is not None:
        floats = mixed(floats, Mix(partners, shares))
    return floats.to(dtype, memory_format=torch.channels_last)


def mixed(floats: torch.Tensor, mix: Mix) -> torch.Tensor:
    """Mixes each image with its partner, by its share."""
    shares = mix.shares.view(-1, 1, 1, 1)
    return shares * floats + (1.0 - shares) * floats[mix.partners]


def factors(how: Normalisation, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns mean and reciprocal deviation, float32 [1, 3, 1, 1]. They stay on the device, because a copy with every
    batch would make the host wait for it."""
    return _factors(tuple(how.mean), tuple(how.std), device)


@lru_cache(maxsize=16)
def _factors(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    shift, deviation = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (mean, std))
    return shift, 1.0 / deviation


def sent(array: npt.NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """Copies an array to a device as a tensor. The copy to a GPU is asynchronous: the host does not wait for it."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def sent_together(tensors: Sequence[torch.Tensor], device: torch.device | str) -> list[torch.Tensor]:
    """Copies small one-dimensional tensors from the host to a device in one transfer; there they share one storage.

    Every call of torch releases the GIL and has to re-acquire it among the reading threads. So numpy packs the tensors,
    and one call splits them.
    """
    # The widest dtype first, so that each tensor begins at a multiple of its item size.
    wide_first = sorted(range(len(tensors)), key=lambda number: tensors[number].element_size(), reverse=True)
    arrays = [tensors[number].numpy() for number in wide_first]
    sizes = [array.nbytes for array in arrays]
    packed = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=torch.device(device).type != "cpu")
    memory, start = packed.numpy(), 0
    for array, size in zip(arrays, sizes, strict=True):
        memory[start : start + size].view(array.dtype)[:] = array
        start += size
    parts = packed.to(device, non_blocking=True).split_with_sizes(sizes)
    found = {number: part.view(tensors[number].dtype) for number, part in zip(wide_first, parts, strict=True)}
    return [found[number] for number in range(len(tensors))]


@dataclass(frozen=True, eq=False)
class Batch:
    """A rank's part of a global batch, in b slots: real samples in the order of their turns, then padding.

    A turn is a sample's number in the loader's order of an epoch. A slot whose image could not be read or decoded is a
    hole: a zero image without labels, `valid` False, with its key and position. Padding is the same with a zero key and
    position -1.
    """

    images: torch.Tensor  # [b, 3, size, size] in channels_last memory: uint8, or normalised float32 or bfloat16
    labels: Labels
    valid: torch.Tensor  # bool [b]
    count: int  # real slots, holes among them
    filled: int  # slots that hold an image: the sum of `valid`, known without asking a device
    keys: npt.NDArray[np.uint8]  # [b, 16], on the host
    positions: torch.Tensor  # int64 [b], in the epoch space of their corpus
    sources: torch.Tensor  # int64 [b], index of the corpus in a mixture; 0 without a mixture
    mix: Mix | None = None  # only with mixup; uint8 images are not mixed yet, `normalised` does it

    @classmethod
    def of(
        cls,
        images: torch.Tensor,
        labels: list[npt.NDArray[np.int32]],
        valid: npt.NDArray[np.bool_],
        count: int,
        keys: npt.NDArray[np.uint8],
        positions: npt.NDArray[np.int64],
        sources: npt.NDArray[np.int64] | None = None,
    ) -> "Batch":
        """Builds a batch from arrays on the host, one entry a slot; without `sources`, all samples are from one corpus."""
        if sources is None:
            sources = np.where(positions == PADDING, PADDING, 0)
        facts = (torch.from_numpy(positions), torch.from_numpy(sources))
        filled = int(np.count_nonzero(valid))
        return cls(images, Labels.of(labels), torch.from_numpy(valid), count, filled, keys, *facts)

    def __len__(self) -> int:
        return len(self.images)

    def key(self, row: int) -> str:
        """Returns the sample's key as 32 hex digits."""
        return bytes(self.keys[row]).hex()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Returns a copy on another device; keys stay on the host."""
        return Batch(
            self.images.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking),
            self.valid.to(device, non_blocking=non_blocking),
            self.count,
            self.filled,
            self.keys,
            self.positions.to(device, non_blocking=non_blocking),
            self.sources.to(device, non_blocking=non_blocking),
            self.mix and self.mix.to(device, non_blocking),
        )

    def pin_memory(self) -> "Batch":
        """Returns a copy in page-locked host memory; tensors that are on a GPU already stay there."""
        return Batch(
            self.images if self.images.is_cuda else self.images.pin_memory(),
            self.labels.pin_memory(),
            self.valid.pin_memory(),
            self.count,
            self.filled,
            self.keys,
            self.positions.pin_memory(),
            self.sources.pin_memory(),
            self.mix and self.mix.pin_memory(),
        )

    def carried(self, device: torch.device | str) -> "Batch":
        """Copies the batch to a device as `to` does, asynchronously and in as few transfers as possible. Images may be
        there already."""
        images = self.images
        if images.device.type == "cpu" and torch.device(device).type != "cpu":
            images = images.pin_memory().to(device, non_blocking=True)
        ids, offsets, valid, positions, sources, *mix = sent_together(self.tensors()[1:], device)
        labels = Labels(ids, offsets)
        mixing = Mix(*mix) if mix else None
        return Batch(images, labels, valid, self.count, self.filled, self.keys, positions, sources, mixing)

    def normalised(
        self,
        output: str,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        by: Normalise | None = None,
    ) -> "Batch":
        """Returns the batch with images (image - mean) / std as `output` (a key of DTYPES). `mean` and `std` are in
        units of 0..255. Slots without an image stay zero. With mixup, images are mixed here. 'uint8' leaves the images
        unchanged. `by` does the work: a backend's `normalise`, or torch's."""
        if output == "uint8":
            return self
        how = Normalisation(mean, std, DTYPES[output])
        return replace(self, images=(by or normalise)(self.images, self.valid, how, self.mix))

    def normalised_rows(
        self,
        rows: torch.Tensor,
        output: Literal["float32", "bfloat16"],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> torch.Tensor:
        """Returns the images of `rows` (int64 [s]) of a uint8 batch as `normalised` makes them, [s, 3, size, size], without
        making the others. An image that is mixed with another gets it from wherever in the batch it is."""
        if self.mix is None:
            return normalise(self.images[rows], self.valid[rows], Normalisation(mean, std, DTYPES[output]))
        how, partners = Normalisation(mean, std, torch.float32), self.mix.partners[rows]
        own, other = (normalise(self.images[each], self.valid[each], how) for each in (rows, partners))
        shares = self.mix.shares[rows].view(-1, 1, 1, 1)
        return (shares * own + (1.0 - shares) * other).to(DTYPES[output], memory_format=torch.channels_last)

    def tensors(self) -> list[torch.Tensor]:
        """Returns all tensors of the batch, the images first."""
        return [self.images, *self.labels.tensors(), self.valid, self.positions, self.sources, *(self.mix or ())]

    def terms(self, *, shared: bool = True) -> Terms:
        """Returns the (row, id, weight) pairs for the loss on the normalised images: those of the labels, with mixup
        the partners' too. Weights are divided among an image's labels, or not if not `shared` (for a loss that asks for
        each label by itself). Does not wait for a device."""
        rows, ids, weights = self.labels.terms(shared=shared)
        if not self.mix:
            return Terms(rows, ids, weights)
        # Each image is the partner of exactly one: its labels count there too, with weight 1 - share of that image.
        taker = torch.empty_like(self.mix.partners).scatter_(
            0, self.mix.partners, torch.arange(len(self.mix.partners), device=rows.device)
        )[rows]
        shares = self.mix.shares
        weights = torch.cat([weights * shares[rows], weights * (1.0 - shares[taker])])
        return Terms(torch.cat([rows, taker]), torch.cat([ids, ids]), weights)
