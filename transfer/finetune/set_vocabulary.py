"""The classes of a set as the vocabulary of a checkpoint."""

from tagmill.shards import Vocabulary
from tagmill.shards.vocabulary import Label
from tagmill.transfer.sets.labelled_set import SetClass


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
