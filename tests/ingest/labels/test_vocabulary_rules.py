"""Which labels become classes: by count, by ImageNet, or by a file whose ids are kept; and the errors of bad files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.ingest.labels.synsets import WordNet, set_text
from tagmill.ingest.labels.vocabulary_rules import VocabularyCounts, VocabularyRules, choose
from tagmill.ingest.labels.wordnet.imagenet import imagenet
from tagmill.shards.errors import ConfigError
from tagmill.shards.vocabulary import Vocabulary

NOUNS = WordNet.load()
BEAR, CAT, LOVE, CRANE = (set_text(NOUNS.lookup(token)) for token in ("brownbear", "tabby", "love", "crane"))
COUNTS = VocabularyCounts({LOVE: 50, BEAR: 5, CAT: 9, CRANE: 5}, {BEAR: {"brownbear": 4, "bruin": 2}})


def chosen(rules: VocabularyRules) -> list[str]:
    return texts(choose(COUNTS, rules, "merge", NOUNS)[0])


def texts(vocabulary: Vocabulary) -> list[str]:
    return [set_text(label.synsets) for label in vocabulary.labels]


def test_ids_go_by_falling_count_and_then_by_name() -> None:
    assert chosen(VocabularyRules()) == [LOVE, CAT, *sorted([BEAR, CRANE])]
    vocabulary, left = choose(COUNTS, VocabularyRules(min_count=6), "merge", NOUNS)
    assert [label.images for label in vocabulary.labels] == [50, 9] and left == {BEAR: 5, CRANE: 5}
    assert chosen(VocabularyRules(top_k=1)) == [LOVE]
    (bear,) = (
        label
        for label in choose(COUNTS, VocabularyRules(), "merge", NOUNS)[0].labels
        if set_text(label.synsets) == BEAR
    )
    assert dict(bear.tokens) == {"brownbear": 4, "bruin": 2} and "bruin" in bear.lemmas


def test_imagenets_vocabularies_are_labels_that_meet_a_class() -> None:
    for kind in ("in1k", "in21k"):
        classes = set(imagenet(kind))
        assert chosen(VocabularyRules(kind)) == [
            name for name in chosen(VocabularyRules()) if classes & set(name.split("+"))
        ]
    assert LOVE not in chosen(VocabularyRules("in1k")) and {BEAR, CRANE} <= set(chosen(VocabularyRules("in1k")))


def test_a_file_keeps_its_ids_whatever_is_carried(tmp_path: Path) -> None:
    oak = set_text(NOUNS.lookup("oak"))
    path = tmp_path / "labels.txt"
    path.write_text(f"# ours\n{CRANE}\n\n{oak}\n{LOVE}\n")
    rules = VocabularyRules(str(path))
    vocabulary, left = choose(COUNTS, rules, "merge", NOUNS)
    assert texts(vocabulary) == [CRANE, oak, LOVE]
    assert [(label.name, label.images) for label in vocabulary.labels] == [("crane", 5), ("oak", 0), ("love", 50)]
    assert left == {BEAR: 5, CAT: 9}
    other = tmp_path / "vocabulary.json"
    other.write_bytes(vocabulary.json())
    again = VocabularyRules(str(other))
    assert chosen(again) == [CRANE, oak, LOVE]
    assert again.recipe()["labels"] == rules.recipe()["labels"], "it is the labels that count, not their files"
    assert again.recipe() != rules.recipe(), "names of a vocabulary.json are kept, so views of both are in two folders"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a vocabulary without labels"),
        ("n00000001\n", r"no noun synset n00000001.*line 1"),
        (f"{BEAR}\n\n{BEAR}\n", r"appears twice.*line 3 and line 1"),
        ("bear\n", r"'bear' is not a set of synsets.*line 1"),
        ("n02126465+n02012849\n", "is not a set of synsets"),
        (json.dumps({"labels": [{"id": 0}]}), "not a vocabulary.json"),
        (json.dumps({"labels": [{"id": 4, "name": 7, "synsets": [BEAR]}]}), "the name of label 4 is no text"),
        ("{", "not a vocabulary.json"),
        (b"\xff\xff", "not text in UTF-8"),
    ],
)
def test_errors_in_files_say_what_and_where(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message):
        VocabularyRules(str(path)).file_labels()


def test_invalid_values_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no such file.*give nouns, in1k, in21k, or a file"):
        VocabularyRules("in2k").file_labels()
    for wrong in ({"min_count": 0}, {"top_k": 0}, {"vocabulary": "x", "top_k": 5}):
        with pytest.raises(ConfigError):
            VocabularyRules(**wrong)  # type: ignore[arg-type]


def test_labels_of_an_earlier_vocabulary_keep_their_ids(tmp_path: Path) -> None:
    """Even those that are no longer carried or fall below the cut; new labels follow by count, as many as fit."""
    wordnet = WordNet.load()
    names = ["n02132136", "n12454159", "n02128925", "n04194289"]
    first, _ = choose(VocabularyCounts({names[0]: 5, names[1]: 3}, {}), VocabularyRules(min_count=3), "merge", wordnet)
    path = tmp_path / "vocabulary.json"
    path.write_bytes(first.json())
    counts = VocabularyCounts({names[1]: 1, names[2]: 4, names[3]: 9}, {names[2]: {"jaguar": 4}})
    for top_k, expected in ((None, [*names[:2], names[3], names[2]]), (3, [*names[:2], names[3]]), (1, names[:2])):
        rules = VocabularyRules(min_count=2, top_k=top_k, after=str(path))
        grown, left = choose(counts, rules, "merge", wordnet)
        assert texts(grown) == expected
        assert [label.images for label in grown.labels][:2] == [0, 1]
        assert left == {name: count for name, count in counts.images.items() if name not in expected}
        assert rules.recipe()["after"] != VocabularyRules(min_count=2, top_k=top_k, after=None).recipe().get("after")
    empty, _ = choose(VocabularyCounts({}, {}), VocabularyRules(), "merge", wordnet)
    path.write_bytes(empty.json())
    again, _ = choose(counts, VocabularyRules(after=str(path)), "merge", wordnet)
    assert texts(again) == [names[3], names[2], names[1]]


def test_a_name_is_fixed_with_its_id_and_synsets_decide(tmp_path: Path) -> None:
    """Counts change which token is commonest, but not the names of existing labels; only synsets are compared."""
    first, _ = choose(COUNTS, VocabularyRules(), "merge", NOUNS)
    assert next(label.name for label in first.labels if set_text(label.synsets) == BEAR) == "brownbear"
    path = tmp_path / "vocabulary.json"
    renamed = [replace(label, name="my bear") if label.name == "brownbear" else label for label in first.labels]
    path.write_bytes(Vocabulary(tuple(renamed)).json())
    grown = VocabularyCounts({**COUNTS.images, set_text(NOUNS.lookup("oak")): 1}, {BEAR: {"brownbear": 4, "bruin": 90}})
    for rules in (VocabularyRules(after=str(path)), VocabularyRules(str(path))):
        again, _ = choose(grown, rules, "merge", NOUNS)
        same = again.labels[: len(first)]
        assert [label.synsets for label in same] == [label.synsets for label in first.labels]
        assert [label.name for label in same] == [label.name for label in renamed]
    recounted, _ = choose(grown, VocabularyRules(), "merge", NOUNS)
    assert "bruin" in [label.name for label in recounted.labels]


def test_an_older_vocabulary_gets_names(tmp_path: Path) -> None:
    """Its names were the synsets: labels keep their ids and get names by token."""
    first, _ = choose(COUNTS, VocabularyRules(), "merge", NOUNS)
    old = Vocabulary(tuple(replace(label, name=set_text(label.synsets)) for label in first.labels), first.rule)
    path = tmp_path / "vocabulary.json"
    path.write_bytes(old.json())
    assert Vocabulary.parse(path.read_bytes()) == old
    rules = VocabularyRules(after=str(path))
    again, _ = choose(COUNTS, rules, "merge", NOUNS)
    assert again.labels == first.labels and rules.names() == {}


def test_entities_of_a_vocabulary_are_found(tmp_path: Path) -> None:
    sun = "n09450163"
    assert VocabularyRules("nouns").entities() == VocabularyRules("in1k").entities() == ()
    assert sun in VocabularyRules("in21k").entities() and len(VocabularyRules("in21k").entities()) == 4
    path = tmp_path / "labels"
    path.write_text(f"{BEAR}\n{set_text(NOUNS.senses('sun', entities=frozenset([sun])))}\n")
    assert VocabularyRules(str(path)).entities() == (sun,)
