"""What a training and a test set must have, and the classes as the vocabulary of a checkpoint."""

from tagmill.shards import ConfigError, Vocabulary
from tagmill.shards.vocabulary import Label
from tagmill.transfer.sets.labelled_set import LabelledSet, SetClass


def check_sets(train: LabelledSet, test: LabelledSet) -> None:
    """Raises ConfigError for sets without images, with other classes than each other, or with fewer than two."""
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


def vocabulary_of(classes: tuple[SetClass, ...]) -> Vocabulary:
    """Returns the classes as labels. A class that shares its synset with another, or has none, is identified by its number."""
    synsets = [each.synset for each in classes]
    labels = (
        Label(
            number,
            each.name,
            (each.synset if each.synset and synsets.count(each.synset) == 1 else f"class-{number}",),
            (),
        )
        for number, each in enumerate(classes)
    )
    return Vocabulary(tuple(labels), "set")
