"""Chooses the images of a set that have exactly one label, for protocols that need one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.skip_reasons import NO_LABEL, SEVERAL_LABELS

Several = Literal["skip", "error"]


@dataclass(frozen=True)
class SingleLabels:
    """The images of a set that have one label, n of them, in the order of the set."""

    places: npt.NDArray[np.int64]  # [n], of `examples`
    labels: npt.NDArray[np.int64]  # [n], places of `classes`
    skipped: Mapping[str, int]  # the other images, by reason: NO_LABEL, SEVERAL_LABELS


def single_labels(labelled: LabelledSet, several: Several = "skip") -> SingleLabels:
    """Returns the images with exactly one label. Images without a label are skipped and counted; those of several labels, too,
    or with `several` "error" the first one raises InputError. Raises InputError where no image has one label."""
    skipped = Counter[str]()
    places, labels = list[int](), list[int]()
    for place, example in enumerate(labelled.examples):
        if len(example.labels) == 1:
            places.append(place)
            labels.append(example.labels[0])
            continue
        if example.labels and several == "error":
            what = f"an image of {len(example.labels)} labels, where one is needed"
            raise InputError(what, f"{labelled.where}, {example.key}", "skip these images, or use a single-label set")
        skipped[SEVERAL_LABELS if example.labels else NO_LABEL] += 1
    if not places:
        remedy = "this protocol needs a set of one label for each image"
        raise InputError("no image has exactly one label", labelled.where, remedy)
    return SingleLabels(np.array(places, np.int64), np.array(labels, np.int64), dict(skipped))


def with_one_label(labelled: LabelledSet) -> tuple[LabelledSet, Mapping[str, int]]:
    """Returns the images of a set that have exactly one label, the set itself where all have, and the number of the others by
    reason. Raises InputError where no image has one label."""
    found = single_labels(labelled)
    return choose(labelled, found.places.tolist()) if found.skipped else labelled, found.skipped
