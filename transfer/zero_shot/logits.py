"""Outputs of a trained model for the images of a labelled set, in blocks of bounded size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.prepare import prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.pipeline import ImageDecoder
from tagmill.shards import ConfigError
from tagmill.training.trained.labels import ModelLabel
from tagmill.training.trained.model import Trained
from tagmill.transfer.features.backbone import open_backbone
from tagmill.transfer.sets.labelled_set import LabelledSet

BLOCK = 64  # images that the model gets at a time
_POLICY = ImagePolicy(0, 95, min_side=1, max_pixels=200_000_000, resize="no", reencode="auto")


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
        self._decoder = ImageDecoder(self._backbone.transform.size, self._backbone.transform.share, threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._decoder.close()

    def blocks(self, images: LabelledSet, places: Sequence[int], skipped: Counter[str]) -> Iterator[LogitBlock]:
        """Yields the outputs for examples of a set, in order, and counts images without any by reason in `skipped`. Raises
        StoreError for a store that fails."""
        for start in range(0, len(places), BLOCK):
            yield self._block(images, np.array(places[start : start + BLOCK], np.int64), skipped)

    def table(self, images: LabelledSet, places: Sequence[int], skipped: Counter[str]) -> LogitBlock:
        """Returns the outputs for examples of a set in one block."""
        parts = list(self.blocks(images, places, skipped))
        none = np.empty((0, len(self.labels)), np.float32)
        return LogitBlock(
            np.concatenate([np.empty(0, np.int64), *(part.places for part in parts)]),
            np.concatenate([none, *(part.values for part in parts)]),
        )

    def _block(self, images: LabelledSet, places: npt.NDArray[np.int64], skipped: Counter[str]) -> LogitBlock:
        jpegs = [_jpeg(body, skipped) for body in images.read(places.tolist())]
        batch = self._decoder.decode(jpegs)
        valid = batch.valid.numpy()
        skipped["not decoded"] += sum(jpeg is not None for jpeg in jpegs) - int(valid.sum())
        values = self._backbone(batch).numpy()
        finite = np.isfinite(values).all(axis=1)
        skipped["outputs that are not finite"] += int((valid & ~finite).sum())
        good = valid & finite
        return LogitBlock(places[good], values[good])


def _jpeg(body: bytes | None, skipped: Counter[str]) -> bytes | None:
    if body is None:
        skipped["missing"] += 1
        return None
    made = prepare(body, _POLICY)
    if isinstance(made, Rejected):
        skipped[str(made.reason).replace("_", " ")] += 1
        return None
    return made.jpeg
