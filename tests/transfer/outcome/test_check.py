"""Predictions that do not fit together are refused."""

from dataclasses import replace

import numpy as np
import pytest

from tagmill.shards import TagmillError
from tagmill.transfer.outcome.check import check_outcome
from tests.transfer.outcome.made import made_outcome

GOOD = made_outcome([0, 1, 2], [[0, 1], [1, 2], [0, -1]], 3)


def test_a_good_one_passes() -> None:
    check_outcome(GOOD)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"keys": np.array([], np.str_)}, "no test image"),
        ({"keys": np.array(["a", "b", "a"])}, "two images"),
        ({"truth": np.array([0, 1, 3])}, "true classes"),
        ({"truth": np.array([0, 1])}, "each image"),
        ({"groups": np.array(["a"])}, "each image"),
        ({"top": np.array([[0], [1], [-2]])}, "predicted classes"),
        ({"top": np.array([[0, 1], [1, 1], [0, 2]])}, "twice"),
        ({"top": np.zeros((3, 0), np.int64)}, "shape"),
        ({"top": np.tile(np.arange(4), (3, 1))}, "shape"),
    ],
)
def test_others_are_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(TagmillError, match=said):
        check_outcome(replace(GOOD, **changed))  # type: ignore[arg-type]
