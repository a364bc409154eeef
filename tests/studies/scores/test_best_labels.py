"""The best labels are those of a plain sort, and their scores those of exact arithmetic."""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tagmill.shards import ConfigError
from tagmill.studies.scores.best_labels import best_labels
from tagmill.studies.scores.score_files import UNIT, Loss

FINITE = st.floats(-200, 200, width=32) | st.integers(-3, 3).map(float)  # whole numbers tie often
LOGITS = arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 9)), elements=FINITE)


def exact(row: list[float], label: int, loss: Loss) -> float:
    """Returns a score by the definition, summed without rounding."""
    if loss == "sigmoid":
        return float(1 / (1 + Fraction(math.exp(-row[label]))))
    return float(1 / sum(Fraction(math.exp(other - row[label])) for other in row))


@given(LOGITS, st.data(), st.sampled_from(["softmax", "sigmoid"]))
def test_equals_a_plain_sort(logits: npt.NDArray[np.float32], data: st.DataObject, loss: Loss) -> None:
    top = data.draw(st.integers(1, logits.shape[1]))
    ids, scores = best_labels(logits, top, loss)
    assert ids.dtype == scores.dtype == np.int32 and ids.shape == scores.shape == (len(logits), top)
    for row, found, units in zip(logits.tolist(), ids.tolist(), scores.tolist(), strict=True):
        assert found == sorted(range(len(row)), key=lambda label, row=row: (-row[label], label))[:top]
        for label, unit in zip(found, units, strict=True):
            assert abs(unit - exact(row, label, loss) * UNIT) <= 0.5 + 1e-9
        assert units == sorted(units, reverse=True) and 0 <= units[-1] <= units[0] <= UNIT


def test_labels_whose_scores_round_to_zero_are_the_best_of_them() -> None:
    ids, scores = best_labels(np.array([[-50, 0, -40, -60]], np.float32), 3, "softmax")
    assert ids.tolist() == [[1, 2, 0]] and scores.tolist() == [[UNIT, 0, 0]]


def test_outputs_that_are_far_apart_do_not_overflow() -> None:
    wide = np.array([[3e38, -3e38]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        assert [best_labels(wide, 2, loss)[1].tolist() for loss in ("softmax", "sigmoid")] == [[[UNIT, 0]]] * 2


@pytest.mark.parametrize("top", [0, 4])
def test_more_labels_than_there_are_and_none_are_refused(top: int) -> None:
    with pytest.raises(ConfigError, match=f"the {top} best of 3 labels"):
        best_labels(np.zeros((1, 3), np.float32), top, "softmax")
