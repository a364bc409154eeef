"""Tests of class scores against sums, means and maxima of probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.transfer.probes.probe_input import best_classes
from tagmill.transfer.zero_shot.class_map import ClassLabels
from tagmill.transfer.zero_shot.class_scores import SCORES, Score, class_scores

maps = st.lists(st.sets(st.integers(0, 6), max_size=4), min_size=1, max_size=8)


@given(maps, st.integers(0, 5), st.sampled_from(SCORES), st.integers(0, 1_000))
def test_scores_are_those_of_the_definition(rows: list[set[int]], images: int, score: Score, seed: int) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.ones(7), images).reshape(images, 7) + 1e-12
    mapped = [ClassLabels(tuple(sorted(each)), "synset") for each in rows]
    found = np.exp(class_scores(np.log(shares), mapped, score))
    made = {"sum": np.sum, "mean": np.mean, "max": np.max}[score]
    for place, each in enumerate(mapped):
        wanted = made(shares[:, list(each.labels)], axis=1) if each.labels else np.zeros(images)
        np.testing.assert_allclose(found[:, place], wanted, rtol=1e-9)


def test_tiny_outputs_keep_their_order() -> None:
    shares = np.array([[-5_000.0, -5_001.0, -6_000.0]])
    mapped = [ClassLabels((2,), "synset"), ClassLabels((1,), "synset"), ClassLabels((0,), "synset")]
    for score in SCORES:
        assert best_classes(class_scores(shares, mapped, score)).tolist() == [[2, 1, 0]]


def test_the_sum_prefers_classes_with_many_labels_and_the_mean_does_not() -> None:
    shares = np.log([[0.3, 0.2, 0.25, 0.25]])
    mapped = [ClassLabels((0,), "synset"), ClassLabels((1, 2), "synset")]
    best: dict[Score, int] = {score: int(best_classes(class_scores(shares, mapped, score))[0, 0]) for score in SCORES}
    assert best == {"sum": 1, "mean": 0, "max": 0}


@pytest.mark.parametrize("images", [0, 2])
def test_no_image_and_no_label_give_tables_of_the_right_size(images: int) -> None:
    empty = class_scores(np.zeros((images, 3)), [ClassLabels((), "none")] * 2, "sum")
    assert empty.shape == (images, 2) and np.isneginf(empty).all()
