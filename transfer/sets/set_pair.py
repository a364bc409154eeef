"""What a training and a test set must have together."""

from tagmill.shards import ConfigError
from tagmill.transfer.sets.labelled_set import LabelledSet


def check_pair(train: LabelledSet, test: LabelledSet) -> None:
    """Raises ConfigError for sets without images, with other classes than each other, or with fewer than two, and for one set
    given as both."""
    if train.classes != test.classes:
        what = f"the training set has {len(train.classes):,} classes and the test set {len(test.classes):,}"
        if len(train.classes) == len(test.classes):
            pairs = zip(train.classes, test.classes, strict=True)
            number, (one, two) = next((number, pair) for number, pair in enumerate(pairs) if pair[0] != pair[1])
            what = f"class {number} is {one.name!r} in the training set and {two.name!r} in the test set"
        raise ConfigError(what, test.where, "give two parts of one set")
    if len(train.classes) < 2:
        raise ConfigError(f"a set of {len(train.classes)} classes", train.where, "give one with at least two")
    for labelled in (train, test):
        if not len(labelled):
            raise ConfigError("a set without images", labelled.where, "give one with images")
    if train.digest == test.digest:
        what = "the training set and the test set are the same images"
        remedy = "give another --test or --test-split, or neither to hold one image in five out"
        raise ConfigError(what, test.where, remedy)
