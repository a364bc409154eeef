"""Tests that the linear probe is as accurate as scikit-learn's, and how l2 is chosen."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tagmill.shards import ConfigError
from tagmill.transfer.probes.linear import L2_GRID, LinearSettings, linear_probe, scaling_of
from tests.transfer.probes.tables import clouds, given, table

SHORT = (1e-4, 1e-3, 1e-2, 1e-1)


def accuracy(outcome: Any) -> float:
    return float(np.mean(outcome.top[:, 0] == outcome.truth))


@pytest.mark.parametrize("standardise", [True, False])
def test_within_a_fifth_of_a_point_of_scikit_learn_on_digits(standardise: bool) -> None:
    digits = load_digits()
    values = digits.data / 16
    rows = np.random.default_rng(3).permutation(len(digits.target))
    train, test = rows[:700], rows[700:]
    data = given(*(table(values[part], digits.target[part].tolist(), 10) for part in (train, test)))
    outcome = linear_probe(data, LinearSettings(SHORT, standardise=standardise))
    chosen: Any = outcome.settings["l2"]
    scaler = StandardScaler(with_mean=standardise, with_std=standardise).fit(values[train])
    other = LogisticRegression(C=1 / (700 * chosen), max_iter=3000)
    other.fit(scaler.transform(values[train]), digits.target[train])
    theirs = other.score(scaler.transform(values[test]), digits.target[test])
    assert abs(accuracy(outcome) - theirs) <= 0.002
    assert accuracy(outcome) > 0.9 and outcome.settings["converged"]


def test_chooses_what_is_best_on_the_held_out_part() -> None:
    data = given(clouds(60, 30, 3, seed=1, spread=3.0), clouds(90, 30, 3, seed=2, spread=3.0))
    outcome = linear_probe(data, LinearSettings((1e-6, 1e-2, 1.0, 1e3), held_out=0.3))
    swept: Any = outcome.settings["swept"]
    assert [found["l2"] for found in swept] == [1e3, 1.0, 1e-2, 1e-6]
    best = max(swept, key=lambda found: (found["accuracy"], -found["loss"], found["l2"]))
    assert outcome.settings["l2"] == best["l2"] and 0 < best["accuracy"] < 1
    assert outcome.settings["l2_at_the_end_of_the_grid"] == (best["l2"] in (1e-6, 1e3))


def test_holds_out_the_images_that_are_given() -> None:
    data = given(clouds(60, 8, 3, seed=1), clouds(30, 8, 3, seed=2))
    held = np.arange(60) % 3 == 0
    outcome = linear_probe(data, LinearSettings(SHORT), held)
    swept: Any = outcome.settings["swept"]
    apart = given(data.train.take(~held), data.train.take(held))
    assert outcome.settings["held_out_images"] == 20
    assert swept[0]["accuracy"] == accuracy(linear_probe(apart, LinearSettings((SHORT[-1],))))


def test_one_l2_is_fitted_on_all_images_without_a_held_out_part() -> None:
    train = table([[0.0], [1.0]], [0, 1], 2)  # too few to hold some out
    outcome = linear_probe(given(train, train), LinearSettings((0.1,)))
    assert outcome.top[:, 0].tolist() == [0, 1] and outcome.settings["swept"] == []
    with pytest.raises(ConfigError, match="too few training images"):
        linear_probe(given(train, train), LinearSettings(SHORT))


def test_classes_without_training_images_are_never_predicted() -> None:
    data = given(table([[0.0], [1.0], [0.1], [0.9]], [0, 2, 0, 2], 4), table([[0.0], [0.4]], [1, 3], 4))
    outcome = linear_probe(data, LinearSettings((1e-2,)))
    assert outcome.settings["classes_without_training_images"] == 2
    assert sorted(set(outcome.top.ravel().tolist())) == [-1, 0, 2]


def test_a_constant_feature_changes_nothing() -> None:
    train, test = clouds(60, 4, 3, seed=1), clouds(60, 4, 3, seed=2)
    plain = linear_probe(given(train, test), LinearSettings((1e-2,)))
    wider = [
        table(np.pad(part.values, ((0, 0), (0, 1)), constant_values=0.1), part.labels.tolist(), 3)
        for part in (train, test)
    ]
    assert np.abs(scaling_of(train.values, True).apply(train.values).std(0) - 1).max() < 1e-6
    assert scaling_of(wider[0].values, True).scale[-1] == 1.0
    assert linear_probe(given(*wider), LinearSettings((1e-2,))).top.tolist() == plain.top.tolist()


def test_refuses_settings_without_meaning() -> None:
    for bad in ({"grid": ()}, {"grid": (0.0,)}, {"held_out": 1.0}, {"iterations": 0}):
        with pytest.raises(ConfigError):
            LinearSettings(**bad)  # type: ignore[arg-type]
    assert len(L2_GRID) == 19 and L2_GRID[0] == 1e-7
