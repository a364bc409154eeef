"""Tests that the ridge is scikit-learn's on the features that big_vision gives it."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as OtherRidge

from tagmill.transfer.probes.ridge import fit_ridge
from tests.transfer.probes.tables import clouds


@pytest.mark.parametrize(("count", "size"), [(120, 16), (12, 40), (33, 32), (32, 32)])
@pytest.mark.parametrize("l2", [2.0**-6, 2.0**10])
def test_equals_scikit_learns_ridge(count: int, size: int, l2: float) -> None:
    train, test = clouds(count, size, 4, seed=1), clouds(50, size, 4, seed=2)
    scores = fit_ridge(train.values, train.labels, 4, l2).scores(test.values)
    exact = train.values.astype(np.float64)
    mean, scale = exact.mean(0), exact.std(0) + 1e-5

    def padded(values: np.ndarray) -> np.ndarray:
        return np.pad((values.astype(np.float64) - mean) / scale, ((0, 0), (0, 1)), constant_values=100.0)

    other = OtherRidge(alpha=l2, fit_intercept=False, solver="svd")
    other.fit(padded(train.values), 2.0 * np.eye(4)[train.labels] - 1)
    assert np.abs(scores - other.predict(padded(test.values))).max() < 1e-6


def test_constant_features_weigh_nothing() -> None:
    train, test = clouds(40, 6, 3, seed=1), clouds(20, 6, 3, seed=2)
    plain = fit_ridge(train.values, train.labels, 3, 1.0).scores(test.values)
    wider = [np.concatenate([part.values, np.full((len(part), 1), 3.0, np.float32)], axis=1) for part in (train, test)]
    assert np.abs(fit_ridge(wider[0], train.labels, 3, 1.0).scores(wider[1]) - plain).max() < 1e-9
