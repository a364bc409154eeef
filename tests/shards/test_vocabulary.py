"""Tests that vocabularies survive their file unchanged, and that invalid ones are refused."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import CorpusError
from tagmill.shards.vocabulary import Label, Vocabulary
from tests.shards.corpora import VOCABULARY

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SETS = st.lists(st.sets(st.integers(0, 99999999), min_size=1, max_size=3).map(frozenset), unique=True, max_size=6)


@st.composite
def vocabularies(draw: st.DrawFn) -> Vocabulary:
    labels = []
    for number, synsets in enumerate(draw(SETS)):
        names = tuple(f"n{synset:08d}" for synset in sorted(synsets))
        lemmas = tuple(draw(st.lists(TEXT, max_size=3)))
        tokens = draw(st.dictionaries(TEXT, st.integers(0, 1 << 40), max_size=3))
        labels.append(Label(number, draw(TEXT), names, lemmas, tokens, draw(st.integers(0, 1 << 40))))
    return Vocabulary(tuple(labels), draw(TEXT), draw(st.dictionaries(TEXT, st.integers() | TEXT, max_size=3)))


@given(vocabularies())
def test_a_vocabulary_survives_its_file(vocabulary: Vocabulary) -> None:
    data = vocabulary.json()
    assert data.isascii() and data.endswith(b"\n")
    again = Vocabulary.parse(data)
    assert again == vocabulary and again.json() == data
    assert len(again) == len(vocabulary.labels)


def test_the_bytes_do_not_depend_on_the_order_of_a_mapping() -> None:
    one = Vocabulary((Label(0, "a", ("n1",), (), {"x": 1, "y": 2}),), source={"b": 1, "a": 2})
    other = Vocabulary((Label(0, "a", ("n1",), (), {"y": 2, "x": 1}),), source={"a": 2, "b": 1})
    assert one.json() == other.json()


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ((Label(1, "a", ("n1",), ()),), "not 0, 1, 2"),
        ((Label(0, "a", ("n1",), ()), Label(0, "b", ("n2",), ())), "not 0, 1, 2"),
        ((Label(0, "a", ("n1", "n2"), ()), Label(1, "b", ("n1", "n2"), ())), "one set of synsets"),
        ((Label(0, "a", (), ()),), "with none"),
    ],
)
def test_invalid_labels(labels: tuple[Label, ...], what: str) -> None:
    with pytest.raises(CorpusError, match=what):
        Vocabulary(labels)


def test_an_invalid_vocabulary_raises_a_one_line_error() -> None:
    data = VOCABULARY.json()
    text = json.loads(data)
    broken = [data[: len(data) // 2], b"", b"[]", b"\xff", b"7", b'{"labels": [7]}', b'{"labels": []}']
    first = text["labels"][0]
    labels = [{k: v for k, v in first.items() if k != name} for name in ("id", "name", "synsets", "lemmas")]
    broken += [json.dumps({**text, "labels": [label]}).encode() for label in [*labels, {**first, "more": 1}]]
    for each in broken:
        with pytest.raises(CorpusError, match=r"not a vocabulary.*\(a/vocabulary\.json\)") as caught:
            Vocabulary.parse(each, "a/vocabulary.json")
        assert "\n" not in str(caught.value)


@given(vocabularies(), vocabularies())
def test_classes_are_compared_by_their_synsets(one: Vocabulary, other: Vocabulary) -> None:
    same = [label.synsets for label in one.labels] == [label.synsets for label in other.labels]
    assert (one.classes_sha256 == other.classes_sha256) == same
    renamed = Vocabulary(tuple(replace(label, name="x", images=label.images + 1) for label in one.labels))
    assert renamed.classes_sha256 == one.classes_sha256
