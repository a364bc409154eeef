"""Tests of the means over tasks and groups."""

import numpy as np
import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.sets.labelled_set import SetClass
from tagmill.transfer.vtab.vtab_means import vtab_means
from tagmill.transfer.vtab.vtab_tasks import VTAB_TASKS


def outcome(right: int, count: int = 10, model: str = "a model") -> Outcome:
    """An outcome with `right` of `count` images right."""
    truth = np.zeros(count, np.int64)
    top = np.array([[0, 1]] * right + [[1, 0]] * (count - right), np.int64).reshape(count, 2)
    keys = np.array([str(place) for place in range(count)], np.str_)
    return Outcome("linear", model, "a set", (SetClass("a"), SetClass("b")), keys, truth, top)


def test_means_of_all_tasks_worked_out_by_hand() -> None:
    natural, specialized, structured = [1, 2, 3, 4, 5, 6, 7], [8, 8, 6, 6], [1, 1, 1, 1, 1, 1, 1, 9]
    rights = dict(zip([task.folder for task in VTAB_TASKS], natural + specialized + structured, strict=True))
    found = vtab_means({folder: outcome(right) for folder, right in reversed(rights.items())})
    assert found.name == "VTAB-1k" and not found.absent and not found.ours
    assert list(found.tasks) == list(rights) and found.tasks["svhn"] == 0.7
    assert found.groups == pytest.approx({"natural": 0.4, "specialized": 0.7, "structured": 0.2})
    assert found.mean == pytest.approx((28 + 28 + 16) / 190)
    assert found.mean_of_groups == pytest.approx(1.3 / 3)


def test_a_split_of_ours_is_called_vtab_like_and_absent_tasks_are_named() -> None:
    found = vtab_means({"svhn": outcome(5), "kitti": outcome(7)}, ours=("kitti", "dtd"))
    assert found.name == "VTAB-like" and found.ours == ("kitti",)
    assert found.groups == {"natural": 0.5, "structured": 0.7} and found.mean_of_groups == pytest.approx(0.6)
    assert len(found.absent) == 17 and "svhn" not in found.absent


def test_refuses_outcomes_that_do_not_belong_together() -> None:
    for outcomes, words in (
        ({}, "no outcome"),
        ({"mnist": outcome(1)}, "no task 'mnist'"),
        ({"svhn": outcome(0, 0)}, "without images"),
        ({"svhn": outcome(1), "dtd": outcome(1, model="other")}, "2 models"),
    ):
        with pytest.raises(ConfigError, match=words):
            vtab_means(outcomes)
