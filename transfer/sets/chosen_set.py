"""Some examples of a set as a set of their own, and a set with other groups."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.labelled_set import LabelledSet


@dataclass(frozen=True)
class ChosenSet(LabelledSet):
    """Some examples of a set, in the order of `places`."""

    whole: LabelledSet = field(compare=False, repr=False)
    places: Sequence[int] = field(compare=False, repr=False)  # in `whole`

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the images at places of this set."""
        return self.whole.read([self.places[place] for place in places])


def choose(whole: LabelledSet, places: Sequence[int], part: str) -> ChosenSet:
    """Returns the set of some examples of another, named by `part`. Its classes are those of the whole set, also where no
    example is left."""
    text = json.dumps([whole.digest, *map(int, places)], separators=(",", ":"))
    return ChosenSet(
        f"{whole.name} {part}",
        whole.where,
        whole.classes,
        tuple(whole.examples[place] for place in places),
        hashlib.sha256(text.encode()).hexdigest(),
        whole,
        tuple(map(int, places)),
    )


def with_groups(whole: LabelledSet, groups: Sequence[str]) -> ChosenSet:
    """Returns a set with a group for each example, in its order (`near_groups`, or subjects): a split keeps each group
    together. Raises InputError for another number of groups."""
    if len(groups) != len(whole):
        raise InputError(f"{len(groups):,} groups of {len(whole):,} images", whole.where, "give a group for each image")
    text = json.dumps([whole.digest, "groups", *groups], separators=(",", ":"))
    return ChosenSet(
        whole.name,
        whole.where,
        whole.classes,
        tuple(each._replace(group=group) for each, group in zip(whole.examples, groups, strict=True)),
        hashlib.sha256(text.encode()).hexdigest(),
        whole,
        range(len(whole)),
    )
