"""Tests of what is refused before a probe begins, and of the order of the best classes."""

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tagmill.shards import ConfigError
from tagmill.transfer.probes import probe_input
from tagmill.transfer.probes.probe_input import ProbeInput, best_classes, predictions
from tests.transfer.probes.tables import given, table

GOOD = table([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1], 3)


def test_counts_classes_without_training_images() -> None:
    data = given(GOOD, table([[0.0, 1.0]], [2], 3))
    assert data.missing == (2,) and data.counts().tolist() == [1, 2, 0]
    outcome = data.outcome("linear", np.array([[0, 1, -1]]), {"l2": 1.0})
    assert outcome.settings == {"training_images": 3, "classes_without_training_images": 1, "l2": 1.0}
    assert outcome.truth.tolist() == [2] and outcome.protocol == "linear" and outcome.model == "a model"


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (table(np.zeros((0, 2)), [], 3), GOOD, "no image"),
        (GOOD, table(np.zeros((0, 2)), [], 3), "no image"),
        (table([[0.0, 1.0], [1.0, 0.0]], [1, 1], 3), GOOD, "all of one class"),
        (GOOD, table([[0.0, 1.0]], [0], 2), "other ones"),
        (GOOD, table([[0.0, 1.0, 2.0]], [0], 3), "2 and 3 numbers"),
        (table([[0.0, 1.0], [1.0, 0.0]], [0, 3], 3), GOOD, "labels outside"),
        (table([[0.0, 1.0], [1.0, 0.0]], [-1, 1], 3), GOOD, "labels outside"),
        (table([[0.0, 1.0], [np.nan, 0.0]], [0, 1], 3), GOOD, r"not finite.*training set, 000001"),
        (GOOD, table([[0.0, np.inf]], [0], 3), r"not finite.*test set, 000000"),
    ],
)
def test_refuses_tables_that_no_probe_can_use(train: object, test: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ProbeInput("a model", "a set", train, test)  # type: ignore[arg-type]


@examples(st.lists(st.lists(st.integers(-3, 3), min_size=7, max_size=7), min_size=1, max_size=6))
def test_best_classes_are_those_of_a_plain_sort(rows: list[list[int]]) -> None:
    scores = np.array(rows, np.float64)
    never = (1, 4)
    for row, top in zip(rows, best_classes(scores, never).tolist(), strict=True):
        allowed = [place for place in range(7) if place not in never]
        assert top == sorted(allowed, key=lambda place: (-row[place], place))[:5]


def test_predictions_in_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_input, "BLOCK_ROWS", 3)
    values = np.random.default_rng(1).normal(size=(10, 6)).astype(np.float32)
    found = predictions(values, lambda rows: 2.0 * rows.astype(np.float64), (2,))
    assert found.tolist() == best_classes(values.astype(np.float64), (2,)).tolist()


def test_classes_that_are_never_predicted_leave_minus_one() -> None:
    assert best_classes(np.array([[1.0, 2.0, -np.inf]]), (0,)).tolist() == [[1, -1, -1]]
