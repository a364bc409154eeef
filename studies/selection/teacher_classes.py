"""The classes of a view that a teacher labels: those of its labels that have synsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tagmill.ingest.labels.label_names import lemmas_of
from tagmill.ingest.labels.synsets import SynsetSet, WordNet
from tagmill.shards import Vocabulary
from tagmill.shards.errors import ConfigError
from tagmill.shards.vocabulary import Label
from tagmill.training.trained.labels import ModelLabel, unique_names

WithoutSynsets = Literal["refuse", "leave-out"]
NAMED = 5  # classes that a message names


@dataclass(frozen=True)
class TeacherClasses:
    """Classes in the order of the view's labels."""

    numbers: tuple[int, ...]  # the teacher's labels
    names: tuple[str, ...]  # distinct
    synsets: tuple[SynsetSet, ...]
    left_out: tuple[str, ...] = ()  # names of the teacher's labels without synsets

    def vocabulary(self) -> bytes:
        """Returns the bytes of a vocabulary.json of these classes."""
        wordnet = WordNet.load()
        each = zip(self.names, self.synsets, strict=True)
        labels = (Label(number, name, own, lemmas_of(own, name, wordnet)) for number, (name, own) in enumerate(each))
        return Vocabulary(tuple(labels), "teacher").json()


def teacher_classes(labels: Sequence[ModelLabel], where: str, without: WithoutSynsets) -> TeacherClasses:
    """Returns the classes of a teacher's labels. Raises ConfigError for labels without synsets, unless they are to be left
    out; for none that has them, unknown synsets, and two labels with the same."""
    names = unique_names(labels)
    lacking = [name for name, label in zip(names, labels, strict=True) if not label.synsets]
    if lacking and len(lacking) == len(labels):
        remedy = "give the scores of a teacher whose labels have synsets, such as one that was trained on a view"
        raise ConfigError(f"none of the {len(labels):,} labels of the teacher has synsets", where, remedy)
    if lacking and without == "refuse":
        what = f"{len(lacking):,} of {len(labels):,} labels of the teacher have no synsets: {listed(lacking)}"
        raise ConfigError(
            what, where, "a view's labels need them: give --without-synsets leave-out, or another teacher"
        )
    wordnet = WordNet.load()
    places: dict[SynsetSet, int] = {}
    for number, label in enumerate(labels):
        if not label.synsets:
            continue
        own = tuple(sorted(set(label.synsets)))
        if unknown := next((synset for synset in own if synset not in wordnet), None):
            what = f"label {names[number]!r} has {unknown!r}, which is no noun synset of WordNet 3.0"
            raise ConfigError(what, where, "give the scores of a teacher whose synsets are in it, as n02084071")
        if own in places:
            what = f"labels {names[places[own]]!r} and {names[number]!r} have the same synsets"
            raise ConfigError(what, where, "give the scores of a teacher whose labels differ in their synsets")
        places[own] = number
    numbers = tuple(places.values())
    return TeacherClasses(numbers, tuple(names[number] for number in numbers), tuple(places), tuple(lacking))


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """Returns the first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
