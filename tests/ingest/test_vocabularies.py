"""Which labels become classes: by count, by ImageNet, by a file whose ids are kept; and what a bad file is told."""

import json
from pathlib import Path

import pytest

from tagmill.ingest.synsets import WordNet, label_name
from tagmill.ingest.vocabularies import Counts, VocabularyRules, choose
from tagmill.ingest.wordnet.imagenet import imagenet
from tagmill.shards.errors import ConfigError

NOUNS = WordNet.load()
BEAR, CAT, LOVE, CRANE = (label_name(NOUNS.lookup(token)) for token in ("brownbear", "tabby", "love", "crane"))
COUNTS = Counts({LOVE: 50, BEAR: 5, CAT: 9, CRANE: 5}, {BEAR: {"brownbear": 4, "bruin": 2}})


def chosen(rules: VocabularyRules) -> list[str]:
    return [label.name for label in choose(COUNTS, rules, "merge", NOUNS)[0].labels]


def test_ids_go_by_falling_count_and_then_by_name() -> None:
    assert chosen(VocabularyRules()) == [LOVE, CAT, *sorted([BEAR, CRANE])]
    vocabulary, left = choose(COUNTS, VocabularyRules(min_count=6), "merge", NOUNS)
    assert [label.images for label in vocabulary.labels] == [50, 9] and left == {BEAR: 5, CRANE: 5}
    assert chosen(VocabularyRules(top_k=1)) == [LOVE]
    (bear,) = (label for label in choose(COUNTS, VocabularyRules(), "merge", NOUNS)[0].labels if label.name == BEAR)
    assert dict(bear.tokens) == {"brownbear": 4, "bruin": 2} and "bruin" in bear.lemmas


def test_imagenets_vocabularies_are_labels_that_meet_a_class() -> None:
    for kind in ("in1k", "in21k"):
        classes = set(imagenet(kind))
        assert chosen(VocabularyRules(kind)) == [
            name for name in chosen(VocabularyRules()) if classes & set(name.split("+"))
        ]
    assert LOVE not in chosen(VocabularyRules("in1k")) and {BEAR, CRANE} <= set(chosen(VocabularyRules("in1k")))


def test_a_file_keeps_its_ids_whatever_is_carried(tmp_path: Path) -> None:
    oak = label_name(NOUNS.lookup("oak"))
    path = tmp_path / "labels.txt"
    path.write_text(f"# ours\n{CRANE}\n\n{oak}\n{LOVE}\n")
    rules = VocabularyRules(str(path))
    vocabulary, left = choose(COUNTS, rules, "merge", NOUNS)
    assert [(label.name, label.images) for label in vocabulary.labels] == [(CRANE, 5), (oak, 0), (LOVE, 50)]
    assert left == {BEAR: 5, CAT: 9}
    other = tmp_path / "vocabulary.json"
    other.write_bytes(vocabulary.json())
    again = VocabularyRules(str(other))
    assert chosen(again) == [CRANE, oak, LOVE]
    assert again.recipe() == rules.recipe(), "it is the labels that count, not where they stand"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a vocabulary without labels"),
        ("n00000001\n", r"no noun synset n00000001.*line 1"),
        (f"{BEAR}\n\n{BEAR}\n", r"stands twice.*line 3 and line 1"),
        ("bear\n", r"'bear' is not the name of a label.*line 1"),
        ("n02126465+n02012849\n", "is not the name of a label"),
        (json.dumps({"labels": [{"id": 0}]}), "not a vocabulary.json"),
        ("{", "not a vocabulary.json"),
        (b"\xff\xfe", "not text in UTF-8"),
    ],
)
def test_a_bad_file_is_told_what_and_where(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message):
        VocabularyRules(str(path)).listed()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no such file.*give nouns, in1k, in21k, or a file"):
        VocabularyRules("in2k").listed()
    for wrong in ({"min_count": 0}, {"top_k": 0}, {"vocabulary": "x", "top_k": 5}):
        with pytest.raises(ConfigError):
            VocabularyRules(**wrong)  # type: ignore[arg-type]


def test_labels_of_an_earlier_vocabulary_keep_their_ids(tmp_path: Path) -> None:
    """Also those that are carried no longer or fall below the cut; new ones follow by count, as many as have room."""
    wordnet = WordNet.load()
    names = ["n02132136", "n12454159", "n02128925", "n04194289"]
    first, _ = choose(Counts({names[0]: 5, names[1]: 3}, {}), VocabularyRules(min_count=3), "merge", wordnet)
    path = tmp_path / "vocabulary.json"
    path.write_bytes(first.json())
    counts = Counts({names[1]: 1, names[2]: 4, names[3]: 9}, {names[2]: {"jaguar": 4}})
    for top_k, expected in ((None, [*names[:2], names[3], names[2]]), (3, [*names[:2], names[3]]), (1, names[:2])):
        rules = VocabularyRules(min_count=2, top_k=top_k, after=str(path))
        grown, left = choose(counts, rules, "merge", wordnet)
        assert [label.name for label in grown.labels] == expected
        assert [label.images for label in grown.labels][:2] == [0, 1]
        assert left == {name: count for name, count in counts.images.items() if name not in expected}
        assert rules.recipe()["after"] != VocabularyRules(min_count=2, top_k=top_k, after=None).recipe().get("after")
    empty, _ = choose(Counts({}, {}), VocabularyRules(), "merge", wordnet)
    path.write_bytes(empty.json())
    again, _ = choose(counts, VocabularyRules(after=str(path)), "merge", wordnet)
    assert [label.name for label in again.labels] == [names[3], names[2], names[1]]
