"""Scores of a trained model for pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch

from tagmill.pipeline import ImageDecoder
from tagmill.shards import ConfigError, TagmillError
from tagmill.training.trained.labels import ModelLabel
from tagmill.training.trained.model import Trained, Transform

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label of a picture."""

    id: int
    label: ModelLabel
    score: float  # 0 to 1: of a softmax model the label's share, of a sigmoid model its probability


class Predictor:
    """A trained model with its image transform, on a device."""

    def __init__(self, trained: Trained, device: Device = "auto", threads: int | None = None) -> None:
        """`threads`: decoding threads; None: the cores of this process. Raises TagmillError for a model that cannot be built
        or run, and ConfigError for a GPU that is not there."""
        cuda = device != "cpu" and torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise ConfigError("device cuda, but torch sees no GPU", "predict", "give --device cpu, or check nvidia-smi")
        self._device = "cuda" if cuda else "cpu"
        self._where, self._sigmoid = trained.where, trained.loss == "sigmoid"
        self._model = trained.build().to(self._device)
        self._transform = trained.transform or Transform()
        self.outputs = self._try()
        """Number of labels."""
        self.labels = trained.labels or tuple(ModelLabel(str(number)) for number in range(self.outputs))
        transform = self._transform
        self._decoder = ImageDecoder(transform.size, transform.share, threads, squeezed=transform.squeezed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._decoder.close()

    @torch.inference_mode()
    def predict(self, jpegs: Sequence[bytes | None], top: int) -> list[list[Prediction] | None]:
        """Returns the `top` best labels of each JPEG, best first; None for a picture that is None or cannot be decoded. Raises
        TagmillError for a model that gives numbers that are not finite."""
        batch = self._decoder.decode(jpegs).to(self._device)
        images = batch.normalised("float32", self._transform.mean, self._transform.std).images
        logits = self._model(images).float()
        if not logits[batch.valid].isfinite().all():
            raise TagmillError("scores that are not finite", self._where, "take an earlier checkpoint")
        best = (logits.sigmoid() if self._sigmoid else logits.softmax(1)).topk(min(top, self.outputs))
        rows = zip(batch.valid.tolist(), best.indices.tolist(), best.values.tolist(), strict=True)
        return [
            [Prediction(id, self.labels[id], score) for id, score in zip(ids, values, strict=True)] if valid else None
            for valid, ids, values in rows
        ]

    def _try(self) -> int:
        """Returns the number of outputs. Raises TagmillError for a network that does not take images of the size it names."""
        side = self._transform.size
        try:
            with torch.inference_mode():
                outputs = self._model(torch.zeros(1, 3, side, side, device=self._device))
            _, count = outputs.shape
        except (RuntimeError, AssertionError, ValueError, TypeError, AttributeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            what = f"a network that gives no scores for images of {side} pixels: {first}"
            raise TagmillError(what, self._where, "export the model again") from error
        return int(count)
