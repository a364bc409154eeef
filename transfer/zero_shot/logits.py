"""Outputs of a trained model for the images of a labelled set, in blocks of bounded size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagmill.shards import ConfigError
from tagmill.training.trained.labels import ModelLabel
from tagmill.training.trained.model import Trained
from tagmill.transfer.features.backbone import open_backbone
from tagmill.transfer.features.decoded import decoded_batches
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.skip_reasons import NOT_FINITE

BLOCK = 64  # images that the model gets at a time


@dataclass(frozen=True)
class LogitBlock:
    """Outputs for some images of a set."""

    places: npt.NDArray[np.int64]  # [m], of the examples
    values: npt.NDArray[np.float32]  # [m, labels], finite


class LabelModel:
    """A model with the meaning of its outputs."""

    def __init__(
        self, trained: Trained, device: Literal["auto", "cpu", "cuda"] = "auto", threads: int | None = None
    ) -> None:
        """`threads`: decoding threads; None: the cores of this process. Raises ConfigError for a model without labels or with
        another number of outputs, and TagmillError for one that cannot be built."""
        if trained.labels is None:
            remedy = "give a run's output, or a folder that `tagmill train export` made"
            raise ConfigError("a model that does not name its labels", trained.where, remedy)
        self.labels: tuple[ModelLabel, ...] = trained.labels
        self.where, self.digest = trained.where, trained.digest
        self._backbone = open_backbone(trained, outputs="logits", device=device)
        if self._backbone.width != len(self.labels):
            what = f"{self._backbone.width:,} outputs for {len(self.labels):,} labels"
            raise ConfigError(what, trained.where, "export the model again")
        self._threads = threads

    def blocks(self, images: LabelledSet, places: Sequence[int], skipped: Counter[str]) -> Iterator[LogitBlock]:
        """Yields the outputs for examples of a set, in order, and counts images without any by reason in `skipped`. Raises
        StoreError for a store that fails."""
        batches = (places[start : start + BLOCK] for start in range(0, len(places), BLOCK))
        for each in decoded_batches(images, batches, self._backbone.transform, self._threads):
            values = self._backbone(each.batch).numpy()
            finite = np.isfinite(values).all(axis=1)
            reasons = [
                why or ("" if good else NOT_FINITE) for why, good in zip(each.reasons, finite.tolist(), strict=True)
            ]
            skipped.update(filter(None, reasons))
            kept = np.array([not why for why in reasons], np.bool_)
            yield LogitBlock(np.array(each.places, np.int64)[kept], values[kept])

    def table(self, images: LabelledSet, places: Sequence[int], skipped: Counter[str]) -> LogitBlock:
        """Returns the outputs for examples of a set in one block."""
        parts = list(self.blocks(images, places, skipped))
        none = np.empty((0, len(self.labels)), np.float32)
        return LogitBlock(
            np.concatenate([np.empty(0, np.int64), *(part.places for part in parts)]),
            np.concatenate([none, *(part.values for part in parts)]),
        )
