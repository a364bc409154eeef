"""Tests that the figures in docs/how-to/labels.md are those of the script."""

from tagmill.bench import vocabularies
from tagmill.bench.measure import ROOT
from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.labels.wordnet.imagenet import CLASSES


def test_classes_are_counted_by_what_their_labels_meet() -> None:
    led = {"a": (("x", "y"),), "b": (("x",), ("z",)), "c": (("q",),), "d": (("y", "q"),)}
    found = vocabularies.classes_counts(led, ["w", "x", "y", "z"])
    assert found == {
        "tokens with a label": 3,
        "labels": 4,
        "labels of several synsets": 2,
        "labels of several tokens": 0,
        "tokens with several labels": 1,
        "labels with synsets that are no class": 1,
        "classes without a label": 1,
        "classes that share a label": 2,
        "classes without a label of their own": 1,
    }


def test_the_page_has_the_tables_of_imagenet() -> None:
    page = (ROOT / "docs" / "how-to" / "labels.md").read_text()
    for name in CLASSES:
        table = vocabularies.rules_table(WordNet.load(), name)
        assert table.count("\n") == 13 and table in page
