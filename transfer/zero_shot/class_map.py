"""Which labels of a model mean which class of a set, through the nouns of WordNet 3.0."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tagmill.ingest import WordNet, clean
from tagmill.shards import ConfigError
from tagmill.training.trained.carried import plain_name
from tagmill.training.trained.labels import ModelLabel
from tagmill.transfer.sets.labelled_set import SetClass

How = Literal["synset", "name", "path", "none"]
MOST_STEPS = 2  # by default: of hypernym edges between a class and the labels that are used for it


@dataclass(frozen=True)
class ClassLabels:
    """The labels that are used for a class."""

    labels: tuple[int, ...]  # ascending; empty for a class without a label
    how: How  # synset: they share a synset; name: they have its name, and no synsets; path: the nearest above or below
    steps: int = 0  # hypernym edges between the class and these labels


def map_classes(
    classes: Sequence[SetClass],
    labels: Sequence[ModelLabel],
    most_steps: int = MOST_STEPS,
    wordnet: WordNet | None = None,
) -> tuple[ClassLabels, ...]:
    """Returns the labels of each class, [classes].

    A class has the synset that its set gives, else all noun synsets that its name can have. Its labels are those that share one
    of these synsets. A class without any gets the nearest ones above or below it, at most `most_steps` hypernym edges
    away in one direction; labels that mean another class of the set themselves are not used for that. A label or a class
    without any synset is compared by name. Raises ConfigError where no class has a label.
    """
    net = wordnet or WordNet.load()
    meanings = [_meanings(each, net) for each in classes]
    by_synset: dict[str, list[int]] = {}
    by_name: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        for synset in label.synsets:
            by_synset.setdefault(synset, []).append(row)
        by_name.setdefault(plain_name(label.name), []).append(row)
    own = [_direct(each, synsets, by_synset, by_name, labels) for each, synsets in zip(classes, meanings, strict=True)]
    taken = {row for found in own for row in found.labels}
    free = {synset: rows for synset, all in by_synset.items() if (rows := [row for row in all if row not in taken])}
    mapped = tuple(
        found if found.labels else _nearest(synsets, free, most_steps, net)
        for found, synsets in zip(own, meanings, strict=True)
    )
    if not any(each.labels for each in mapped):
        what = f"none of the {len(labels):,} labels of the model is one of the {len(classes):,} classes"
        raise ConfigError(what, "zero-shot", "give a set whose classes have synset ids or nouns as names")
    return mapped


def _meanings(one: SetClass, net: WordNet) -> frozenset[str]:
    if one.synset is not None:
        return frozenset([one.synset]) if one.synset in net else frozenset()
    return frozenset(net.lookup(clean(one.name), instances=True))


def _direct(
    one: SetClass,
    synsets: frozenset[str],
    by_synset: dict[str, list[int]],
    by_name: dict[str, list[int]],
    labels: Sequence[ModelLabel],
) -> ClassLabels:
    if same := _rows(synsets, by_synset):
        return ClassLabels(same, "synset")
    named = [row for row in by_name.get(plain_name(one.name), ()) if not (synsets and labels[row].synsets)]
    return ClassLabels(tuple(named), "name") if named else ClassLabels((), "none")


def _nearest(synsets: frozenset[str], free: dict[str, list[int]], most_steps: int, net: WordNet) -> ClassLabels:
    above = below = synsets
    for steps in range(1, most_steps + 1):
        above = frozenset(up for synset in above for up in net.hypernyms(synset))
        below = frozenset(down for synset in below for down in net.hyponyms(synset))
        if found := _rows(above | below, free):
            return ClassLabels(found, "path", steps)
    return ClassLabels((), "none")


def _rows(synsets: Iterable[str], by_synset: dict[str, list[int]]) -> tuple[int, ...]:
    return tuple(sorted({row for synset in synsets for row in by_synset.get(synset, ())}))
