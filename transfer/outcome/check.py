"""Refuses predictions that do not fit together."""

import numpy as np
import numpy.typing as npt

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
    if outcome.accepted is not None and (fault := _fault_of_accepted(outcome.accepted, outcome)):
        return fault
    if outcome.top.min() < -1 or outcome.top.max() >= classes:
        return f"predicted classes from {outcome.top.min()} to {outcome.top.max()}, of {classes}"
    if len(np.unique(outcome.keys)) < images:
        return "a key that two images have"
    ordered = np.sort(outcome.top, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        return "an image with one class twice among its best"
    return ""


def _fault_of_accepted(accepted: npt.NDArray[np.int64], outcome: Outcome) -> str:
    if accepted.ndim != 2 or len(accepted) != len(outcome.keys) or not accepted.shape[1]:
        return f"right classes of shape {accepted.shape} for {len(outcome.keys)} images"
    if accepted.min() < -1 or accepted.max() >= len(outcome.classes):
        return f"right classes from {accepted.min()} to {accepted.max()}, of {len(outcome.classes)}"
    before, after = accepted[:, :-1], accepted[:, 1:]
    if ((after >= 0) & (after <= before)).any() or ((before < 0) & (after >= 0)).any():
        return "right classes that do not ascend"
    return "" if (accepted[:, 0] == outcome.truth).all() else "a true class that is not the first of the right ones"
