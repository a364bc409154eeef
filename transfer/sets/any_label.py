"""Test images with several labels, any of which is right, as ImageNet's ReaL labels are."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.chosen_set import ChosenSet
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.single_label import with_one_label
from tagmill.transfer.sets.skip_reasons import NO_LABEL


@dataclass(frozen=True)
class AnyLabelSet(ChosenSet):
    """The images of a set that have labels. Each example has the first of its labels, as protocols need one."""

    right: Sequence[tuple[int, ...]] = field(compare=False, repr=False)  # all labels of each example, ascending


def with_any_label(labelled: LabelledSet) -> tuple[LabelledSet, Mapping[str, int]]:
    """Returns the images of a set that have labels, one or several, and the number of the others by reason. A set without an
    image of several labels is treated as by `with_one_label`. Raises InputError where no image has a label."""
    if all(len(each.labels) < 2 for each in labelled.examples):
        return with_one_label(labelled)
    places = [place for place, each in enumerate(labelled.examples) if each.labels]
    if not places:
        raise InputError("no image has a label", labelled.where, "give a set with labels")
    examples = [labelled.examples[place] for place in places]
    found = AnyLabelSet(
        labelled.name,
        labelled.where,
        labelled.classes,
        tuple(each._replace(labels=each.labels[:1]) for each in examples),
        hashlib.sha256(json.dumps([labelled.digest, "any label"]).encode()).hexdigest(),
        labelled,
        places,
        [each.labels for each in examples],
    )
    without = len(labelled) - len(places)
    return found, {NO_LABEL: without} if without else {}
