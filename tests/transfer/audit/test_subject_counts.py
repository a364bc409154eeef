"""Tests of the counts of images by subject, against sets."""

import numpy as np
import pytest

from tagmill.ingest import WordNet
from tagmill.shards import InputError
from tagmill.training.trained.labels import ModelLabel
from tagmill.transfer.audit.attribute_table import Attributes
from tagmill.transfer.audit.subject_counts import AuditedLabel, count_hits, subtrees

NET = WordNet.load()


def label(word: str) -> ModelLabel:
    return ModelLabel(word, NET.senses(word)[:1])


def test_subtrees_have_two_labels_or_more_and_the_lowest_synset_of_a_set_of_labels() -> None:
    labels = [label("poodle"), label("beagle"), label("wolf"), label("banana"), ModelLabel("no noun")]
    found = subtrees(labels)
    by_labels = {each.labels: each for each in found}
    assert len(by_labels) == len(found) and all(len(each.labels) > 1 for each in found)
    assert by_labels[0, 1].name == "dog"
    assert by_labels[0, 1, 2].name == "canine"
    assert max(by_labels, key=len) == (0, 1, 2, 3)
    assert [each.synset for each in found] == sorted(str(each.synset) for each in found)


def test_a_label_above_another_is_a_subtree_of_both() -> None:
    dog, poodle = label("dog"), label("poodle")
    found = subtrees([dog, poodle])
    assert [(each.labels, each.synset) for each in found] == [((0, 1), dog.synsets[0])]


def test_images_are_counted_once_for_each_label_and_subtree() -> None:
    chance = np.random.default_rng(1)
    keys = [f"{n}.jpg" for n in range(300)]
    owner = {key: f"s{chance.integers(80):02d}" for key in keys[:290]}
    group = {subject: "a" if int(subject[1:]) < 40 else "b" for subject in owner.values()}
    top = np.stack([chance.permutation(7)[:3] for _ in keys])
    top[::9, 2] = -1
    tree = AuditedLabel("tree", "n00001740", (0, 2))
    found = count_hits(keys, top, list("abcdefg"), [tree], Attributes("x", owner, group, 0))
    assert found.subjects == tuple(sorted(set(owner.values()))) and found.groups == ("a", "b")
    assert [each.labels for each in found.tested] == [(n,) for n in range(7)] + [(0, 2)] and found.untested == 0
    for place, subject in enumerate(found.subjects):
        own = [row for row, key in enumerate(keys) if owner.get(key) == subject]
        assert found.images[place] == len(own) and found.groups[found.group[place]] == group[subject]
        for column, each in enumerate(found.tested):
            assert found.hits[place, column] == sum(bool({*top[row]} & {*each.labels}) for row in own)


def test_labels_of_fewer_than_20_subjects_are_not_tested() -> None:
    keys = [f"{n}" for n in range(70)]
    owner, group = {key: key for key in keys}, {key: "ab"[int(key) % 2] for key in keys}
    top = np.zeros((70, 2), np.int64)
    top[:19, 1], top[19:39, 1], top[39:, 1] = 1, 2, 3
    found = count_hits(keys, top, list("wxyz?"), [], Attributes("x", owner, group, 0))
    assert [each.name for each in found.tested] == ["w", "y", "z"] and found.untested == 2


def test_keys_that_are_not_in_the_table_are_an_error() -> None:
    with pytest.raises(InputError, match="0 value of 'x' among the images"):
        count_hits(["k"], np.zeros((1, 1), np.int64), ["a"], [], Attributes("x", {}, {}, 0))
