"""Tests that the fit is scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tagmill.shards import TagmillError
from tagmill.transfer.probes import logistic
from tagmill.transfer.probes.logistic import fit_logistic
from tests.transfer.probes.tables import clouds


@pytest.mark.parametrize("l2", [1e-3, 1.0])
def test_weights_are_scikit_learns(l2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = clouds(150, 6, 3, seed=1), clouds(60, 6, 3, seed=2)
    other = LogisticRegression(C=1 / (150 * l2), tol=1e-8, max_iter=5000)
    other.fit(train.values.astype(np.float64), train.labels)
    monkeypatch.setattr(logistic, "_BLOCK", 240)  # blocks of 40 images
    head = fit_logistic(train.values, train.labels, 3, l2)
    assert head.converged and head.iterations > 1
    assert np.abs(head.weights - other.coef_).max() < 1e-3
    theirs = other.predict_proba(test.values.astype(np.float64))
    scores = np.exp(head.scores(test.values))
    assert np.abs(scores / scores.sum(1, keepdims=True) - theirs).max() < 1e-3


def test_goes_on_from_weights_that_are_given() -> None:
    train = clouds(100, 5, 3, seed=1)
    first = fit_logistic(train.values, train.labels, 3, 0.01)
    again = fit_logistic(train.values, train.labels, 3, 0.01, start=first)
    assert again.iterations <= 2 and np.abs(again.weights - first.weights).max() < 1e-3
    assert not fit_logistic(train.values, train.labels, 3, 1e-6, iterations=2).converged


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    train = clouds(20, 3, 2, seed=1)
    values = train.values.copy()
    values[3, 1] = np.nan
    with pytest.raises(TagmillError, match="not finite"):
        fit_logistic(values, train.labels, 2, 1.0)
