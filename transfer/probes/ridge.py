"""Ridge regression on whitened features, as big_vision's few-shot evaluator has it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

BIAS_FEATURE = 100.0  # a constant feature this large makes the bias almost free of regularisation
WHITEN_EPSILON = 1e-5  # added to the standard deviation

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ridge:
    """A linear map from features to one score a class."""

    mean: Matrix  # [d]
    scale: Matrix  # [d], standard deviation + 1e-5
    weights: Matrix  # [d + 1, classes], the bias last

    def scores(self, values: npt.NDArray[np.float32]) -> Matrix:
        """Returns the scores of features [n, d] as [n, classes]."""
        whitened = (values.astype(np.float64) - self.mean) / self.scale
        found: Matrix = whitened @ self.weights[:-1] + BIAS_FEATURE * self.weights[-1]
        return found


def fit_ridge(values: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: int, l2: float) -> Ridge:
    """Fits targets of 1 for the class of an image and -1 for the others by least squares with `l2` times the squared weights,
    the bias included. `values`: [n, d]; `labels`: [n]; l2 > 0. Computed in float64 from the eigenvalues of the smaller of
    X'X and XX', as big_vision does it (evaluators/fewshot_lsr.py; there in float32)."""
    exact = values.astype(np.float64)
    mean, scale = exact.mean(axis=0), exact.std(axis=0) + WHITEN_EPSILON
    count = len(values)
    whitened = np.concatenate([(exact - mean) / scale, np.full((count, 1), BIAS_FEATURE)], axis=1)
    targets = np.full((count, classes), -1.0)
    targets[np.arange(count), labels] = 1.0
    features, wanted = torch.from_numpy(whitened), torch.from_numpy(targets)
    if count >= features.shape[1]:
        eigenvalues, vectors = torch.linalg.eigh(features.T @ features)
        left, right = vectors, vectors.T @ (features.T @ wanted)
    else:
        eigenvalues, vectors = torch.linalg.eigh(features @ features.T)
        left, right = features.T @ vectors, vectors.T @ wanted
    weights: Matrix = ((left / (eigenvalues + l2)) @ right).numpy()
    return Ridge(mean, scale, weights)
