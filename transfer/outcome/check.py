"""Refuses predictions that do not fit together."""

import numpy as np

from tagmill.shards import TagmillError
from tagmill.transfer.outcome.outcome import Outcome

MOST_RANKS = 5  # classes that are kept of each image


def check_outcome(outcome: Outcome, where: str = "") -> None:
    """Raises TagmillError where an outcome has no image, a key twice, arrays of other lengths, or an unknown class."""
    fault = _fault(outcome)
    if fault:
        raise TagmillError(f"{outcome.protocol}: {fault}", where or outcome.set, "run the protocol again")


def _fault(outcome: Outcome) -> str:
    images, classes = len(outcome.keys), len(outcome.classes)
    if not images:
        return "no test image was left"
    ranks = outcome.top.shape[1] if outcome.top.ndim == 2 else 0
    if outcome.top.shape != (images, ranks) or not 1 <= ranks <= min(MOST_RANKS, classes):
        return f"predictions of shape {outcome.top.shape} for {images} images and {classes} classes"
    if outcome.truth.shape != (images,) or (outcome.groups is not None and outcome.groups.shape != (images,)):
        return "not one class and one group for each image"
    if outcome.truth.min() < 0 or outcome.truth.max() >= classes:
        return f"true classes from {outcome.truth.min()} to {outcome.truth.max()}, of {classes}"
    if outcome.top.min() < -1 or outcome.top.max() >= classes:
        return f"predicted classes from {outcome.top.min()} to {outcome.top.max()}, of {classes}"
    if len(np.unique(outcome.keys)) < images:
        return "a key that two images have"
    ordered = np.sort(outcome.top, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        return "an image with one class twice among its best"
    return ""
