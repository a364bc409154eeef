"""A split in VTAB's manner, for tasks without the lists that people have."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tagmill.shards import InputError
from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import Example, LabelledSet

LIKE_TRAIN, LIKE_VAL = 800, 200  # images, as in VTAB-1k


@dataclass(frozen=True)
class LikeSplit:
    """The parts of a task."""

    train: LabelledSet  # about 800 images
    val: LabelledSet  # about 200
    trainval: LabelledSet  # both
    test: LabelledSet


def like_split(whole: LabelledSet, test: LabelledSet | None = None, seed: int = 0) -> LikeSplit:
    """Divides a set as VTAB-1k does a task: 800 and 200 images to learn from, drawn from all classes alike by a hash of seed
    and group, so that they depend on nothing else; the rest is the test set unless one is given. A group is not divided, so
    that the numbers may be passed by less than a group. Results on it are called VTAB-like. Raises InputError for a set with
    fewer than 1,000 images, or without a rest to test on."""
    if len(whole) < LIKE_TRAIN + LIKE_VAL:
        what = f"{len(whole):,} images, where 800 and 200 are drawn"
        raise InputError(what, whole.where, "give a larger set, or VTAB's lists")
    places = _drawn(whole.examples, seed)
    train, val = set(places[0]), set(places[1])
    rest = [place for place in range(len(whole)) if place not in train and place not in val]
    if test is None and not rest:
        raise InputError("no images are left to test on", whole.where, "give a test set")
    if test is not None and test.classes != whole.classes:
        raise InputError("the test set has other classes", test.where, "give the test set of this task")
    return LikeSplit(
        choose(whole, sorted(train), "train"),
        choose(whole, sorted(val), "val"),
        choose(whole, sorted(train | val), "trainval"),
        choose(whole, rest, "test") if test is None else test,
    )


def _drawn(examples: Sequence[Example], seed: int) -> tuple[list[int], list[int]]:
    """Returns the places to learn from and those to choose settings on."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        # A group of one cannot be mistaken for one of that name.
        groups[f"group {example.group}" if example.group else f"key {example.key}"].append(place)

    def rank(name: str) -> bytes:
        return hashlib.blake2b(f"{seed} {name}".encode(errors="surrogatepass"), digest_size=16).digest()

    train, val = list[int](), list[int]()
    for name in sorted(groups, key=rank):
        if len(train) < LIKE_TRAIN:
            train += groups[name]
        elif len(val) < LIKE_VAL:
            val += groups[name]
        else:
            break
    return train, val
