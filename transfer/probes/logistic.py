"""Multinomial logistic regression by L-BFGS."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.optimize
import torch
from torch.nn import functional

from tagmill.shards import TagmillError

_BLOCK = 1 << 26  # numbers of features or scores in memory in float64 at once
_GRADIENT, _GAIN = 1e-6, 1e-9  # at the end: the largest part of the gradient, or what a step gains of the loss
_MEMORY = 20  # steps that L-BFGS remembers


@dataclass(frozen=True)
class Head:
    """A linear classifier."""

    weights: npt.NDArray[np.float64]  # [classes, d]
    bias: npt.NDArray[np.float64]  # [classes]
    iterations: int = 0
    converged: bool = True

    def scores(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Returns the scores of features [n, d] as [n, classes]."""
        found: npt.NDArray[np.float64] = values.astype(np.float64) @ self.weights.T + self.bias
        return found


def fit_logistic(
    values: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    classes: int,
    l2: float,
    iterations: int = 1000,
    start: Head | None = None,
    device: str = "cpu",
) -> Head:
    """Minimises the mean cross-entropy plus l2 / 2 times the squared weights; the bias is free. `values`: [n, d]; `labels`:
    [n]. scikit-learn's LogisticRegression minimises the same with C = 1 / (n l2). Loss and gradient are computed in float64 on
    `device`, in blocks of images. Raises TagmillError where they are not finite."""
    size = values.shape[1]
    features, targets = torch.from_numpy(values).to(device), torch.from_numpy(labels).to(device)
    rows = max(1, _BLOCK // max(size, classes))

    def cost(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        both = torch.from_numpy(flat).to(device).view(classes, size + 1)
        weights, bias = both[:, :-1], both[:, -1]
        slope = torch.zeros_like(both)
        slope[:, :-1] = l2 * weights
        loss = l2 / 2 * float(weights.square().sum())
        for begin in range(0, len(targets), rows):
            block, wanted = features[begin : begin + rows].double(), targets[begin : begin + rows]
            logs = functional.log_softmax(torch.addmm(bias, block, weights.T), dim=1)
            loss -= float(logs.gather(1, wanted[:, None]).sum()) / len(targets)
            excess = logs.exp_()
            excess[torch.arange(len(wanted), device=device), wanted] -= 1
            slope[:, :-1] += excess.T @ block / len(targets)
            slope[:, -1] += excess.sum(dim=0) / len(targets)
        return loss, slope.cpu().numpy().ravel()

    first = np.zeros((classes, size + 1))
    if start is not None:
        first[:, :-1], first[:, -1] = start.weights, start.bias
    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": _MEMORY, "gtol": _GRADIENT, "ftol": _GAIN}
    found = scipy.optimize.minimize(cost, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    if not np.isfinite(found.fun) or not np.isfinite(found.x).all():
        raise TagmillError("the loss of the linear probe is not finite", f"l2 = {l2}", "standardise the features")
    both = found.x.reshape(classes, size + 1)
    # Where rounding stops the search before the gradient is small, there is nothing better within it.
    return Head(both[:, :-1].copy(), both[:, -1].copy(), int(found.nit), bool(found.status != 1))
