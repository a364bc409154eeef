"""Tests of few-shot: which images are drawn, and classes with too few of them."""

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tagmill.shards import ConfigError
from tagmill.transfer.probes.few_shot import SHOT_SEEDS, SHOTS, few_shot, shot_rows
from tagmill.transfer.probes.ridge import fit_ridge
from tagmill.transfer.sets.labelled_set import SetClass
from tests.transfer.probes.tables import clouds, given, table

DATA = given(clouds(300, 16, 4, seed=1), clouds(200, 16, 4, seed=2))


@examples(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 6), st.integers(0, 5))
def test_draws_each_class_and_fewer_shots_are_among_more(labels: list[int], shots: int, seed: int) -> None:
    found = np.array(labels, np.int64)
    rows = shot_rows(found, 5, shots, seed)
    assert len(set(rows.tolist())) == len(rows)
    for place in range(5):
        assert np.count_nonzero(found[rows] == place) == min(shots, labels.count(place))
    assert set(rows.tolist()) <= set(shot_rows(found, 5, shots + 1, seed).tolist())


def test_the_rows_of_numpys_generator_do_not_move() -> None:
    """The draw of big_vision: numpy's default generator, one permutation a class."""
    draw = np.random.default_rng(2)
    wanted = [draw.permutation(np.arange(place, 40, 4))[:5].tolist() for place in range(4)]
    assert shot_rows(np.arange(40) % 4, 4, 5, 2).tolist() == [row for rows in wanted for row in rows]


def test_predicts_by_the_ridge_on_the_drawn_images() -> None:
    accuracies = {}
    for shots in SHOTS:
        right = []
        for seed in SHOT_SEEDS:
            outcome = few_shot(DATA, shots, seed)
            rows = shot_rows(DATA.train.labels, 4, shots, seed)
            scores = fit_ridge(DATA.train.values[rows], DATA.train.labels[rows], 4, 1024.0).scores(DATA.test.values)
            assert (outcome.top[:, 0] == scores.argmax(1)).all()
            assert outcome.settings["images_learned_from"] == 4 * shots and outcome.settings["seed"] == seed
            right.append(float(np.mean(outcome.top[:, 0] == outcome.truth)))
        accuracies[shots] = np.mean(right)
    assert accuracies[25] > accuracies[1] > 0.25


def test_classes_with_too_few_images_are_named_or_counted() -> None:
    train = table(np.eye(6), [0, 0, 0, 1, 1, 1], 4)
    data = given(train, table(np.eye(6), [0, 1, 2, 3, 0, 1], 4))
    with pytest.raises(
        ConfigError, match=r"2 of 4 classes have fewer than 2 training images: class 2, class 3.*--allow-fewer"
    ):
        few_shot(data, 2, 0)
    outcome = few_shot(data, 2, 0, allow_fewer=True)
    assert outcome.settings["classes_with_fewer_images"] == 2 and outcome.settings["images_learned_from"] == 4
    assert not np.isin(outcome.top, [2, 3]).any()


def test_a_long_list_of_classes_is_cut_and_hostile_names_are_inert() -> None:
    labels = [0, 0, *range(1, 9)]
    train = table(np.zeros((10, 2)), labels, 9)
    hostile = (SetClass("class 0"), SetClass("\x1b[31mred"), *train.classes[2:])
    parts = [type(train)(train.values, train.labels, train.keys, train.groups, hostile, {})] * 2
    with pytest.raises(ConfigError, match=r"8 of 9 .*: \\x1b\[31mred, class 2, .* and 3 more"):
        few_shot(given(parts[0], parts[1]), 2, 0)


@pytest.mark.parametrize(("shots", "l2"), [(0, 1.0), (1, 0.0), (1, -1.0)])
def test_refuses_settings_without_meaning(shots: int, l2: float) -> None:
    with pytest.raises(ConfigError):
        few_shot(DATA, shots, 0, l2)
