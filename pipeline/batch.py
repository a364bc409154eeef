"""What the loader hands out: images, labels as ids and offsets, and which places hold a picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

DTYPES = {"uint8": torch.uint8, "float32": torch.float32, "bfloat16": torch.bfloat16}
PADDING = -1  # the position and the source of a place that only fills a batch up


class Terms(NamedTuple):
    """The (image, label) pairs of a batch, m of them, for a loss whose target is 1/k on each of an image's k labels."""

    rows: torch.Tensor  # int64 [m]
    ids: torch.Tensor  # int64 [m]
    weights: torch.Tensor  # float32 [m], 1/k


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of b images in compressed rows: those of image i are `ids[offsets[i] : offsets[i + 1]]`."""

    ids: torch.Tensor  # int64 [m]
    offsets: torch.Tensor  # int64 [b + 1]

    @classmethod
    def of(cls, rows: list[npt.NDArray[np.int32]]) -> "Labels":
        """From each image's ids."""
        counts = [len(row) for row in rows]
        ids = np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64)
        return cls(torch.from_numpy(ids), torch.from_numpy(np.cumsum([0, *counts], dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> torch.Tensor:
        """The ids of one image."""
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def terms(self) -> Terms:
        """Row, id and weight of every pair, without waiting for a device."""
        counts = self.offsets.diff()
        # output_size spares the transfer to the host that repeat_interleave would make to learn it.
        rows = torch.repeat_interleave(counts, output_size=len(self.ids))
        return Terms(rows, self.ids, 1.0 / counts[rows].to(torch.float32))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Labels":
        """On another device."""
        ids = self.ids.to(device, non_blocking=non_blocking)
        return Labels(ids, self.offsets.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Labels":
        """In page-locked host memory, from which a GPU copies by itself."""
        return Labels(self.ids.pin_memory(), self.offsets.pin_memory())


@dataclass(frozen=True, eq=False)
class Batch:
    """A rank's part of a global batch, in b places: real ones in the order of their turns, then padding.

    A place whose picture could not be read or decoded is a hole: a zero image without labels, `valid` False, with its key
    and position. Padding is the same with a zero key and position -1.
    """

    images: torch.Tensor  # [b, 3, size, size] in channels_last memory: uint8, or normalised float32 or bfloat16
    labels: Labels
    valid: torch.Tensor  # bool [b]
    count: int  # real places, holes among them
    keys: npt.NDArray[np.uint8]  # [b, 16], on the host
    positions: torch.Tensor  # int64 [b], in the epoch space of their corpus
    sources: torch.Tensor  # int64 [b], which corpus of a mixture, in its order; 0 where there is one

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
        """From what the loader gathered on the host, one entry a place; without `sources`, all are from one corpus."""
        if sources is None:
            sources = np.where(positions == PADDING, PADDING, 0)
        facts = (torch.from_numpy(positions), torch.from_numpy(sources))
        return cls(images, Labels.of(labels), torch.from_numpy(valid), count, keys, *facts)

    def __len__(self) -> int:
        return len(self.images)

    def key(self, row: int) -> str:
        """The sample's key as 32 hex digits."""
        return bytes(self.keys[row]).hex()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """On another device; keys stay on the host."""
        return Batch(
            self.images.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking),
            self.valid.to(device, non_blocking=non_blocking),
            self.count,
            self.keys,
            self.positions.to(device, non_blocking=non_blocking),
            self.sources.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Batch":
        """In page-locked host memory; what is on a GPU already stays there."""
        return Batch(
            self.images if self.images.is_cuda else self.images.pin_memory(),
            self.labels.pin_memory(),
            self.valid.pin_memory(),
            self.count,
            self.keys,
            self.positions.pin_memory(),
            self.sources.pin_memory(),
        )

    def normalised(self, output: str, mean: tuple[float, float, float], std: tuple[float, float, float]) -> "Batch":
        """(image - mean) / std as `output` (a key of DTYPES), mean and std in units of 0..255; places without a picture
        stay zero. 'uint8' leaves the images as they are."""
        if output == "uint8":
            return self
        return replace(self, images=normalise(self.images, self.valid, mean, std, DTYPES[output]))


def normalise(
    images: torch.Tensor, valid: torch.Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
) -> torch.Tensor:
    """(image - mean) / std of uint8 images [n, 3, size, size] where they are, in channels_last memory; zero for those that are
    not `valid` (bool [n])."""
    shift = torch.tensor(mean, device=images.device).view(1, 3, 1, 1)
    scale = 1.0 / torch.tensor(std, device=images.device).view(1, 3, 1, 1)
    floats = (images.to(torch.float32) - shift) * (scale * valid.view(-1, 1, 1, 1))
    return floats.to(dtype, memory_format=torch.channels_last)
