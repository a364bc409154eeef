"""Average precision of detections, as COCO defines it: torchmetrics with the code of pycocotools."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torchmetrics.detection import MeanAveragePrecision

from tagmill.transfer.detection.targets import Target

_FIGURES = {
    "ap": "map",
    "ap50": "map_50",
    "ap75": "map_75",
    "small": "map_small",
    "medium": "map_medium",
    "large": "map_large",
    "recall": "mar_100",
}


@dataclass(frozen=True)
class AveragePrecision:
    """COCO's figures, 0 to 1; None where the set has no object to find."""

    ap: float | None  # mean over overlaps of 0.5, 0.55, ... 0.95
    ap50: float | None
    ap75: float | None
    small: float | None  # objects of less than 32 x 32 pixels
    medium: float | None  # up to 96 x 96
    large: float | None
    recall: float | None  # mean over the same overlaps, of at most 100 detections an image
    per_class: tuple[float | None, ...]  # ap, in the order of the classes


def average_precision(
    pairs: Iterable[tuple[list[Target], list[Target]]], classes: int, *, masks: bool
) -> dict[str, AveragePrecision]:
    """Returns the figures for `boxes`, and with `masks` also for `masks`.

    `pairs`: batches of detections (`boxes`, `labels`, `scores`, and `masks` [n, height, width] of 0 and 1) and of what
    `evaluation_target` gives for the same images. A detection on a crowd counts neither as right nor as wrong.
    """
    kinds = {"boxes": "bbox", "masks": "segm"} if masks else {"boxes": "bbox"}
    metric = MeanAveragePrecision(iou_type=tuple(kinds.values()), class_metrics=True, backend="pycocotools")  # type: ignore[arg-type]
    for detections, targets in pairs:
        metric.update(detections, targets)
    found = metric.compute()
    return {name: _figures(found, f"{kind}_" if masks else "", classes) for name, kind in kinds.items()}


def _figures(found: Mapping[str, torch.Tensor], prefix: str, classes: int) -> AveragePrecision:
    values = {name: _value(found[f"{prefix}{key}"]) for name, key in _FIGURES.items()}
    seen = found["classes"].reshape(-1).tolist()
    each = dict(zip(seen, found[f"{prefix}map_per_class"].reshape(-1), strict=True))
    per_class = tuple(_value(each[label]) if label in each else None for label in range(1, classes + 1))
    return AveragePrecision(**values, per_class=per_class)


def _value(figure: torch.Tensor) -> float | None:
    """COCO has -1 where there is no object."""
    return None if float(figure) < 0 else float(figure)
