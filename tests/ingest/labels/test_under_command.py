"""Labels below a synset are those whose synsets reach it upwards; the command prints them for people and for machines."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.synsets import WordNet, set_text
from tagmill.ingest.labels.under_command import below_of, labels_under, synset_of, under_command
from tagmill.ingest.labels.wordnet.imagenet import imagenet
from tagmill.shards.errors import CorpusError, TagmillError
from tagmill.shards.vocabulary import Label, Vocabulary
from tests.shards.corpora import make_corpus

NOUNS = WordNet.load()
ENTITY, DOG, BEAR, CRANE, CITY = "n00001740", "n02084071", "n02131653", "n02012849", "n08524735"
synsets = st.sampled_from(imagenet("in21k"))


def above(synset: str) -> set[str]:
    """Returns the synset and everything above it, by the definition."""
    return {synset}.union(*map(above, NOUNS.hypernyms(synset)))


@given(synsets)
def test_below_is_the_inverse_of_above(synset: str) -> None:
    assert all(synset in below_of(NOUNS, higher) for higher in NOUNS.hypernyms(synset))
    found = below_of(NOUNS, synset)
    assert synset in found
    assert all(synset in above(lower) for lower in sorted(found)[:50])


def test_all_nouns_are_below_entity() -> None:
    assert len(below_of(NOUNS, ENTITY)) == 82_115


def test_named_entities_and_second_parents_are_below() -> None:
    (paris,) = {"n08932568"} & set(NOUNS.senses("paris", instances=True))
    assert NOUNS.is_instance(paris) and paris in below_of(NOUNS, CITY)
    puppy = NOUNS.senses("puppy")[0]
    assert {DOG, puppy} < below_of(NOUNS, DOG) and BEAR not in below_of(NOUNS, DOG)
    canine, pet = NOUNS.hypernyms(DOG)
    assert DOG in below_of(NOUNS, canine) & below_of(NOUNS, pet)


def test_classes_of_imagenet_that_are_dogs() -> None:
    assert len(below_of(NOUNS, DOG) & set(imagenet("in1k"))) == 118


def test_unknown_synsets_are_refused() -> None:
    with pytest.raises(TagmillError, match="no noun synset 'n02084072'"):
        below_of(NOUNS, "n02084072")


@given(synsets, st.lists(st.sets(synsets, min_size=1, max_size=3), max_size=8, unique_by=frozenset))
def test_a_label_is_under_if_any_of_its_synsets_is(synset: str, sets: list[set[str]]) -> None:
    labels = tuple(Label(i, set_text(each), tuple(sorted(each)), ()) for i, each in enumerate(sets))
    found = labels_under(Vocabulary(labels), synset)
    ways = {label.id: {synset in above(each) for each in label.synsets} for label in labels}
    assert [label.id for label, _ in found] == [number for number, way in ways.items() if True in way]
    assert all(wholly == (False not in ways[label.id]) for label, wholly in found)


def test_a_noun_of_one_meaning_is_enough() -> None:
    assert synset_of(NOUNS, DOG) == DOG
    assert synset_of(NOUNS, "Zn") == synset_of(NOUNS, "zinc")  # of any length, as it is asked for
    assert synset_of(NOUNS, "Brown Bear") == synset_of(NOUNS, "#brownbears") == "n02132136"
    with pytest.raises(
        TagmillError, match=r"'dog' has 7 meanings .*n02084071 dog, domestic_dog.*; n10114209 frump, dog;"
    ):
        synset_of(NOUNS, "dog")
    for word in ("instagood", "", "n0213213"):
        with pytest.raises(TagmillError, match="is no noun of WordNet"):
            synset_of(NOUNS, word)
    with pytest.raises(TagmillError, match="no noun synset"):
        synset_of(NOUNS, "n99999999")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool").store.url
    under_command([corpus, CRANE, "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "synset": CRANE,
        "lemmas": ["crane"],
        "labels": [{"id": 1, "name": "crane", "synsets": [CRANE, "n03126707"], "images": 2, "wholly": False}],
    }
    under_command([corpus, "mammal"])
    told = capsys.readouterr().out
    assert "1 labels" in told and "bear" in told and "n02131653" in told and "partly" not in told and "oak" not in told
    under_command([corpus, "n01503061"])  # bird
    assert "partly" in capsys.readouterr().out
    with pytest.raises(CorpusError, match="nowhere"):
        under_command([corpus, DOG, "--view", "nowhere"])
    with pytest.raises(TagmillError, match="7 meanings"):
        under_command([corpus, "dog"])
