"""Tests of labels for classes, on real nouns of WordNet."""

import pytest

from tagmill.ingest import WordNet
from tagmill.shards import ConfigError
from tagmill.training.trained.labels import ModelLabel
from tagmill.transfer.sets.labelled_set import SetClass
from tagmill.transfer.zero_shot.class_map import ClassLabels, map_classes

NET = WordNet.load()
DOG, WOLF = "n02084071", "n02114100"
(BROWN_BEAR,) = NET.lookup("brownbear")
(BEAR,) = NET.hypernyms(BROWN_BEAR)
CRANES = NET.lookup("crane")
GRIZZLY = next(each for each in NET.hyponyms(BROWN_BEAR) if "grizzly" in NET.lemmas(each))


def label(name: str, *synsets: str) -> ModelLabel:
    return ModelLabel(name, synsets)


def test_a_class_has_the_labels_that_share_its_synset() -> None:
    labels = [label("dog", DOG), label("crane", *CRANES), label("doggy", DOG, WOLF)]
    found = map_classes([SetClass("n", DOG), SetClass("bird", CRANES[0]), SetClass("truck", CRANES[1])], labels)
    assert found[0] == ClassLabels((0, 2), "synset")
    assert found[1] == found[2] == ClassLabels((1,), "synset")


def test_a_class_without_a_synset_has_all_meanings_of_its_name() -> None:
    found = map_classes([SetClass("Brown Bear"), SetClass("cranes")], [label("a", CRANES[1]), label("b", BROWN_BEAR)])
    assert found == (ClassLabels((1,), "synset"), ClassLabels((0,), "synset"))


def test_the_nearest_label_above_or_below_is_used_up_to_a_limit() -> None:
    classes, above, below = [SetClass("brown bear", BROWN_BEAR)], label("bear", BEAR), label("grizzly", GRIZZLY)
    assert map_classes(classes, [above, below]) == (ClassLabels((0, 1), "path", 1),)
    far = [SetClass("grizzly", GRIZZLY), SetClass("dog", DOG)]
    labels = [above, label("dog", DOG)]
    assert map_classes(far, labels, 2)[0] == ClassLabels((0,), "path", 2)
    assert map_classes(far, labels, 1)[0] == ClassLabels((), "none")
    assert map_classes(far, labels, 0)[0] == ClassLabels((), "none")


def test_a_sibling_is_not_on_a_path() -> None:
    sibling = next(each for each in NET.hyponyms(BEAR) if each != BROWN_BEAR)
    labels = [label("other", sibling), label("dog", DOG)]
    found = map_classes([SetClass("brown bear", BROWN_BEAR), SetClass("dog", DOG)], labels, 4)
    assert found[0].how == "none"


def test_a_label_that_means_a_class_is_not_lent_to_another() -> None:
    classes = [SetClass("bear", BEAR), SetClass("brown bear", BROWN_BEAR)]
    assert map_classes(classes, [label("bear", BEAR)]) == (ClassLabels((0,), "synset"), ClassLabels((), "none"))


def test_names_decide_where_there_are_no_synsets() -> None:
    labels = [label("T-Shirt 9"), label("crane"), label("xyzzy", DOG)]
    found = map_classes([SetClass("tshirt9"), SetClass("Crane", CRANES[0]), SetClass("xyzzy")], labels)
    assert [(each.labels, each.how) for each in found] == [((0,), "name"), ((1,), "name"), ((2,), "name")]
    two = map_classes([SetClass("dog", DOG), SetClass("wolf", WOLF)], [label("dog", WOLF)], 0)
    assert two == (ClassLabels((), "none"), ClassLabels((0,), "synset"))  # a name never overrules synsets


def test_a_model_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match="none of the 1 labels of the model is one of the 2 classes"):
        map_classes([SetClass("0"), SetClass("1", "n99999999")], [label("dog", DOG)])
