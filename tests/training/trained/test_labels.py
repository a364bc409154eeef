"""Tests of the labels of a trained model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import TagmillError
from tagmill.training.trained.labels import ModelLabel, labels_json, labels_of, parse_labels, unique_names
from tests.shards.corpora import VOCABULARY

TEXTS = st.text(max_size=8)
LABEL_LISTS = st.lists(
    st.builds(ModelLabel, st.sampled_from(["a", "b", "a (n1)", "a (1)"]) | TEXTS, st.tuples(TEXTS), st.tuples(TEXTS))
)


def test_the_labels_of_a_view_have_its_names_synsets_and_words() -> None:
    labels = labels_of(VOCABULARY)
    assert labels[1] == ModelLabel("crane", ("n02012849", "n03126707"), ("crane",)) and len(labels) == 3


@given(LABEL_LISTS)
def test_labels_come_back_from_their_file(labels: list[ModelLabel]) -> None:
    assert parse_labels(labels_json(labels), "x") == tuple(labels)


@given(LABEL_LISTS)
def test_no_two_labels_have_one_unique_name(labels: list[ModelLabel]) -> None:
    names = unique_names(labels)
    assert len(set(names)) == len(names) == len(labels)
    assert all(name.startswith(label.name) for name, label in zip(names, labels, strict=True))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}x",
        b"[1]",
        b'{"a": 1}',
        b'[{"id": 0}]',
        json.dumps([{"id": 1, "name": "a", "synsets": [], "words": []}]).encode(),
        json.dumps([{"id": 0, "name": "a", "synsets": "n1", "words": []}]).encode(),
        b"[" * 100_000,
    ],
)
def test_other_files_are_refused_with_their_place(content: bytes) -> None:
    with pytest.raises(TagmillError, match=r"labels.*\(here\)"):
        parse_labels(content, "here")
