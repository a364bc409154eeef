"""Parts of a labelled set: images with one class, and a test part where no test set is given."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.single_label import single_labels
from tagmill.transfer.sets.splits import divide_set

TEST_WEIGHTS = (4, 1)  # training and test images, where one set is divided


@dataclass(frozen=True)
class SetPart(LabelledSet):
    """Some images of a set."""

    whole: LabelledSet
    places: tuple[int, ...]  # in the whole set

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        return self.whole.read([self.places[place] for place in places])


def part_of(whole: LabelledSet, places: Sequence[int], name: str) -> SetPart:
    """Returns the images at these places of a set, in their order, as a set of this name."""
    chosen = tuple(int(place) for place in places)
    examples = tuple(whole.examples[place] for place in chosen)
    keys = [each.key for each in examples]
    digest = hashlib.sha256(canonical_json([whole.digest, keys])).hexdigest()
    return SetPart(name, whole.where, whole.classes, examples, digest, whole, chosen)


def with_one_class(labelled: LabelledSet) -> tuple[LabelledSet, dict[str, int]]:
    """Returns the images with exactly one class, and the number of others by reason; the set itself where there are none.
    Raises InputError where no image is left."""
    found = single_labels(labelled)
    if not found.skipped:
        return labelled, {}
    return part_of(labelled, found.places.tolist(), labelled.name), dict(found.skipped)


def divided(labelled: LabelledSet, seed: int = 0) -> tuple[SetPart, SetPart]:
    """Returns a training and a test part, four to one, by a hash of keys and groups: a group is in one part, and the parts are
    the same at every reading. Raises InputError for a set of fewer than two images or groups."""
    train, test = divide_set(labelled, TEST_WEIGHTS, seed)
    return part_of(labelled, train.tolist(), f"{labelled.name}, 4 of 5 parts"), part_of(
        labelled, test.tolist(), f"{labelled.name}, 1 of 5 parts"
    )
