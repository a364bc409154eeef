"""Tests that nearest neighbours are scikit-learn's, in blocks of any size, with ties as documented."""

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from tagmill.shards import ConfigError
from tagmill.transfer.probes import knn
from tagmill.transfer.probes.knn import KnnSettings, nearest_neighbours
from tests.transfer.probes.tables import clouds, given, table

DATA = given(clouds(700, 12, 7, seed=1), clouds(300, 12, 7, seed=2))


@pytest.mark.parametrize("neighbours", [1, 5, 20, 700])
def test_equals_scikit_learns_neighbours(neighbours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "_TEST_ROWS", 64)
    monkeypatch.setattr(knn, "_TRAIN_ROWS", 100)
    other = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute").fit(
        DATA.train.values, DATA.train.labels
    )
    outcome = nearest_neighbours(DATA, KnnSettings(neighbours))
    assert (outcome.top[:, 0] == other.predict(DATA.test.values)).all()
    assert outcome.settings["neighbours"] == neighbours


def test_softmax_votes_equal_scikit_learns_with_these_weights() -> None:
    other = KNeighborsClassifier(20, metric="cosine", algorithm="brute", weights=lambda far: np.exp((1 - far) / 0.07))
    other.fit(DATA.train.values, DATA.train.labels)
    outcome = nearest_neighbours(DATA, KnnSettings(20, "softmax"))
    order = np.argsort(-other.predict_proba(DATA.test.values), axis=1, kind="stable")
    shown = outcome.top >= 0
    assert (outcome.top[shown] == order[:, :5][shown]).all() and shown[:, 0].all()
    assert outcome.settings["temperature"] == 0.07


@settings(max_examples=60)
@examples(
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=5, max_size=40),
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(1, 7),
)
def test_ties_go_to_the_earlier_image_and_the_lower_class(
    train: list[tuple[int, int]], test: list[tuple[int, int]], neighbours: int, block: int
) -> None:
    """By a plain sort over all pairs; points on a small grid have many equal angles."""
    labels = [place % 3 for place in range(len(train))]
    data = given(table(train, labels, 3), table(test, [0] * len(test), 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn, "_TRAIN_ROWS", block)
        patch.setattr(knn, "_TEST_ROWS", 3)
        outcome = nearest_neighbours(data, KnnSettings(neighbours))

    def cosine(one: tuple[int, int], two: tuple[int, int]) -> float:
        length = float(np.hypot(*one) * np.hypot(*two))
        return round((one[0] * two[0] + one[1] * two[1]) / length, 9) if length else 0.0

    for query, top in zip(test, outcome.top.tolist(), strict=True):
        near = sorted(range(len(train)), key=lambda place: (-cosine(query, train[place]), place))[:neighbours]
        votes = [sum(labels[place] == found for place in near) for found in range(3)]
        ranked = sorted((found for found in range(3) if votes[found]), key=lambda found: (-votes[found], found))
        assert top == ranked + [-1] * (3 - len(ranked))


def test_refuses_what_has_no_meaning() -> None:
    with pytest.raises(ConfigError, match="701 neighbours of 700"):
        nearest_neighbours(DATA, KnnSettings(701))
    with pytest.raises(ConfigError, match="neighbours = 0"):
        KnnSettings(0)
    with pytest.raises(ConfigError, match="temperature"):
        KnnSettings(temperature=0.0)
