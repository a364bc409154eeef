"""Assembles the inputs of a batch in the order of its turns: bytes, keys, labels and crops, before an image is decoded."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.pipeline.augment.draws import Crops, eval_crops, train_crops
from tagmill.pipeline.augment.image_size import side_of
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.order.schedule import PADDING, Step
from tagmill.pipeline.read.prefetch import NO_LABELS, Prefetcher
from tagmill.shards.arrays import Int32s, Int64s


@dataclass(frozen=True, eq=False, slots=True)
class AssembledBatch:
    """A batch before decoding, in b slots: first the samples, then padding."""

    jpegs: list[bytes | None]  # None if there is nothing to decode
    crops: Crops
    size: int  # side of the images, pixels; the same for all ranks
    keys: npt.NDArray[np.uint8]  # [b, 16]
    labels: list[Int32s]
    reasons: list[str]  # why a sample's bytes must not be used; '' if they may
    epoch: int | Int64s  # of all slots, or of each slot
    positions: Int64s  # [b]
    sources: Int64s | None  # [b] in a mixture
    count: int  # number of samples
    after: tuple[int, int]  # (epoch, turn) of the state after the batch
    number: int = 0  # of the batch in its epoch, or in a mixture from the beginning


class Assembler:
    """Assembles the batches of a rank one after the other. Used by one thread."""

    def __init__(self, config: LoaderConfig, steps: Iterator[Step], prefetcher: Prefetcher, slots: int) -> None:
        self._config = config
        self._steps = steps
        self._prefetcher = prefetcher
        self._slots = slots

    def next(self) -> AssembledBatch | None:
        """Returns the next batch, None at the end. Raises what `Prefetcher.take` raises."""
        step = next(self._steps, None)
        if step is None:
            return None
        size = side_of(self._config.size, self._config.seed, step.begin, step.progress)
        samples = self._prefetcher.take(step.epoch, step.positions, step.sources)
        padding = self._slots - len(samples)
        unused = np.full(padding, PADDING)
        epoch = step.epoch if isinstance(step.epoch, int) else np.append(step.epoch, unused)
        positions = np.append(step.positions, unused)
        keys = np.frombuffer(b"".join(sample.key for sample in samples) + bytes(16 * padding), np.uint8).reshape(-1, 16)
        widths = np.array([sample.width for sample in samples] + [1] * padding, np.int32)
        heights = np.array([sample.height for sample in samples] + [1] * padding, np.int32)
        return AssembledBatch(
            jpegs=[sample.jpeg for sample in samples] + [None] * padding,
            crops=self._crops(epoch, positions, widths, heights, size),
            size=size,
            keys=keys.copy(),
            labels=[sample.labels for sample in samples] + [NO_LABELS] * padding,
            reasons=[sample.reason for sample in samples],
            epoch=epoch,
            positions=positions,
            sources=None if step.sources is None else np.append(step.sources, unused),
            count=len(samples),
            after=step.after,
            number=step.number,
        )

    def _crops(self, epoch: int | Int64s, positions: Int64s, widths: Int32s, heights: Int32s, size: int) -> Crops:
        if self._config.augment == "train":
            return train_crops(self._config.seed, epoch, positions, widths, heights)
        return eval_crops(widths, heights, size)
