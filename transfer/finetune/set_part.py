"""Some images of a labelled set as a set of their own: those with one label, those of a split, the shots of a class."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tagmill.shards import ConfigError
from tagmill.shards.arrays import Int64s
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.single_label import single_labels


@dataclass(frozen=True)
class SetPart(LabelledSet):
    """Images of another set."""

    whole: LabelledSet = field(compare=False, repr=False)
    chosen: Int64s = field(compare=False, repr=False)  # [n], places in `whole`

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the encoded images at these places of the part. Raises what the whole set raises."""
        return self.whole.read([int(self.chosen[place]) for place in places])


def part_of(whole: LabelledSet, places: Int64s, name: str | None = None) -> LabelledSet:
    """Returns the images at `places` [n] of a set, in this order: the set itself where these are all in its own order and it
    keeps its name. Raises ConfigError for a place that the set does not have, and one that is there twice."""
    kept = name or whole.name
    if kept == whole.name and np.array_equal(places, np.arange(len(whole))):
        return whole
    if len(places) and (places.min() < 0 or places.max() >= len(whole) or len(np.unique(places)) < len(places)):
        what = f"places from {places.min()} to {places.max()}, {len(np.unique(places)):,} of {len(places):,} different"
        raise ConfigError(what, whole.where, f"name each once, below {len(whole):,}")
    digest = hashlib.sha256(f"tagmill part 1 {whole.digest}\n".encode())
    digest.update(",".join(map(str, places.tolist())).encode())
    examples = tuple(whole.examples[place] for place in places.tolist())
    return SetPart(kept, whole.where, whole.classes, examples, digest.hexdigest(), whole, places)


def with_one_label(labelled: LabelledSet) -> tuple[LabelledSet, Mapping[str, int]]:
    """Returns the images of a set that have exactly one label, and the number of the others by reason. Raises InputError where
    there is none."""
    found = single_labels(labelled)
    return part_of(labelled, found.places), found.skipped
