"""Some examples of a set as a set of their own, and a set with other groups."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tagmill.shards.errors import ConfigError, InputError
from tagmill.transfer.sets.labelled_set import LabelledSet


@dataclass(frozen=True)
class ChosenSet(LabelledSet):
    """Some examples of a set, in the order of `places`."""

    whole: LabelledSet = field(compare=False, repr=False)
    places: Sequence[int] = field(compare=False, repr=False)  # in `whole`

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the images at places of this set."""
        return self.whole.read([self.places[place] for place in places])


def choose(whole: LabelledSet, places: Sequence[int], part: str = "") -> ChosenSet:
    """Returns the set of some examples of another, in the order of `places`; `part` is added to its name. Its classes are those
    of the whole set, also where no example is left. Raises ConfigError for a place that the set does not have, and one that
    is there twice."""
    places = tuple(map(int, places))
    if places and (min(places) < 0 or max(places) >= len(whole) or len(set(places)) < len(places)):
        what = f"places from {min(places)} to {max(places)}, {len(set(places)):,} of {len(places):,} different"
        raise ConfigError(what, whole.where, f"name each once, below {len(whole):,}")
    text = json.dumps([whole.digest, *places], separators=(",", ":"))
    return ChosenSet(
        f"{whole.name} {part}".rstrip(),
        whole.where,
        whole.classes,
        tuple(whole.examples[place] for place in places),
        hashlib.sha256(text.encode()).hexdigest(),
        whole,
        places,
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
