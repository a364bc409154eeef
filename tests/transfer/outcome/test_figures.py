"""Figures equal those of other libraries and of counting by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from torchmetrics.functional.classification import multiclass_accuracy

from tagmill.transfer.outcome.figures import Confusion, figures_of
from tests.transfer.outcome.made import made_outcome, random_outcome


def test_they_are_those_of_scikit_learn_and_torchmetrics() -> None:
    outcome = random_outcome(400, 8, 0.5)
    found = figures_of(outcome)
    first = outcome.top[:, 0]
    assert found.class_mean.value == pytest.approx(balanced_accuracy_score(outcome.truth, first))
    scores = np.zeros((400, 8))
    np.put_along_axis(scores, outcome.top, np.arange(5, 0, -1.0)[None], axis=1)
    for rank, ours in ((1, found.top1), (5, found.top5)):
        truth = torch.from_numpy(outcome.truth)
        known = multiclass_accuracy(torch.from_numpy(scores), truth, 8, average="micro", top_k=rank)
        assert ours is not None and ours.value == pytest.approx(float(known)) and ours.low < ours.value < ours.high
    matrix = confusion_matrix(outcome.truth, first, labels=range(8))
    assert found.confused_pairs == (matrix > 0).sum() - (np.diag(matrix) > 0).sum()
    assert all(matrix[each.truth, each.predicted] == each.images for each in found.confusions)
    assert [each.images for each in found.per_class] == matrix.sum(axis=1).tolist()
    assert [each.right for each in found.per_class] == np.diag(matrix).tolist()


def test_by_hand() -> None:
    found = figures_of(made_outcome([0, 0, 0, 1], [[0, 1], [1, 0], [1, -1], [-1, -1]], 3))
    assert (found.images, found.right, found.top1.value, found.top5, found.interval) == (4, 1, 0.25, None, "Wilson")
    assert found.class_mean.value == pytest.approx((1 / 3 + 0) / 2), "a class without images has no accuracy"
    assert found.per_class[2].top1 is None
    assert found.confusions == (Confusion(0, 1, 2), Confusion(1, -1, 1))


def test_the_mean_over_classes_has_the_interval_of_independent_classes() -> None:
    found = figures_of(random_outcome(2000, 4, 0.6))
    shares = [each.top1.value for each in found.per_class if each.top1]
    spread = sum(p * (1 - p) / each.images for p, each in zip(shares, found.per_class, strict=True)) ** 0.5 / 4
    assert found.class_mean.high - found.class_mean.low == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_groups_widen_the_interval_and_no_group_is_one_image() -> None:
    single = random_outcome(60, 8, 0.5)
    tripled = replace(
        single,
        keys=np.array([f"{key}/{copy}" for key in single.keys for copy in range(3)]),
        truth=single.truth.repeat(3),
        top=single.top.repeat(3, axis=0),
    )
    grouped = replace(tripled, groups=single.keys.repeat(3))
    alone = replace(tripled, groups=np.full(180, ""))
    assert figures_of(alone) == figures_of(tripled) == figures_of(replace(tripled, groups=tripled.keys))
    found, plain = figures_of(grouped), figures_of(single)
    assert found.groups == 60 and found.interval == "bootstrap over groups"
    width = plain.top1.high - plain.top1.low
    assert found.top1.high - found.top1.low == pytest.approx(width, rel=0.15)
