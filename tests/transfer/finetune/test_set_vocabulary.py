"""Classes as labels."""

from tagmill.transfer.finetune.set_vocabulary import vocabulary_of
from tagmill.transfer.sets.labelled_set import SetClass


def test_classes_are_labels_by_their_synsets_or_numbers() -> None:
    classes = (SetClass("one", "n00000001"), SetClass("two"), SetClass("a", "n00000002"), SetClass("b", "n00000002"))
    labels = vocabulary_of(classes).labels
    assert [label.name for label in labels] == ["one", "two", "a", "b"]
    assert [label.synsets for label in labels] == [("n00000001",), ("class-1",), ("class-2",), ("class-3",)]
