"""The linear probe: multinomial logistic regression on features, by L-BFGS, with the l2 that is best on a held-out part."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tagmill.shards import ConfigError
from tagmill.transfer.features.feature_table import FeatureTable
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.logistic import Head, fit_logistic
from tagmill.transfer.probes.probe_input import BLOCK_ROWS, ProbeInput, predictions
from tagmill.transfer.sets.splits import divide

LINEAR = "linear"
L2_GRID = tuple(10.0 ** (power / 2) for power in range(-14, 5))  # 1e-7 to 1e2, two a decade


@dataclass(frozen=True)
class LinearSettings:
    """How the linear probe is fitted."""

    grid: tuple[float, ...] = L2_GRID  # of l2 times half the squared weights, added to the mean loss of an image
    held_out: float = 0.2  # share of the training images that l2 is chosen on
    standardise: bool = True  # features to mean 0 and standard deviation 1 on the images that are learned from
    iterations: int = 1000  # of L-BFGS, at most, for each l2
    seed: int = 0  # of the held-out part
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.grid or min(self.grid) <= 0:
            raise ConfigError(f"l2 grid {self.grid}", LINEAR, "give numbers above 0")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out = {self.held_out}", LINEAR, "give a share between 0 and 1")
        if self.iterations < 1:
            raise ConfigError(f"iterations = {self.iterations}", LINEAR, "give 1 or more")


class Swept(NamedTuple):
    """What one l2 gave on the held-out part."""

    l2: float
    accuracy: float  # a share
    loss: float  # mean of an image, nats


def linear_probe(
    data: ProbeInput, chosen: LinearSettings | None = None, held: npt.NDArray[np.bool_] | None = None
) -> Outcome:
    """Returns the outcome of the linear probe. Each l2 of the grid is fitted on the training images that are not held out; the
    one with the best accuracy on the held-out images (then the lower loss, then the larger l2) is fitted on all of them. A
    group is never divided. With one l2 in the grid nothing is held out. `held`: the training images to hold out, [n], for a set
    that says so itself, as VTAB's tasks do. Raises ConfigError where too few images or groups are there to hold some out."""
    chosen = chosen or LinearSettings()
    if held is None:
        held = _held_out(data.train, chosen)
    swept = _sweep(data, chosen, held) if len(chosen.grid) > 1 else []
    best = max(swept, key=lambda found: (found.accuracy, -found.loss, found.l2)).l2 if swept else chosen.grid[0]
    train = data.train
    scaling = scaling_of(train.values, chosen.standardise)
    head = fit_logistic(
        scaling.apply(train.values), train.labels, len(train.classes), best, chosen.iterations, device=chosen.device
    )
    settings = {
        "l2": best,
        "l2_at_the_end_of_the_grid": bool(swept) and best in (min(chosen.grid), max(chosen.grid)),
        "swept": [found._asdict() for found in swept],
        "held_out_images": int(held.sum()) if swept else 0,
        "standardised": chosen.standardise,
        "seed": chosen.seed,
        "iterations": head.iterations,
        "converged": head.converged,
    }
    return data.outcome(LINEAR, predictions(scaling.apply(data.test.values), head.scores, data.missing), settings)


def _held_out(train: FeatureTable, chosen: LinearSettings) -> npt.NDArray[np.bool_]:
    parts = 1000  # in thousandths
    wanted = min(max(round(chosen.held_out * parts), 1), parts - 1)
    if len(chosen.grid) == 1:
        return np.zeros(len(train), np.bool_)
    shares = [parts - wanted, wanted]
    part = divide(train.keys.tolist(), train.labels, train.groups.tolist(), shares, chosen.seed)
    return np.equal(part, 1).astype(np.bool_)


def _sweep(data: ProbeInput, chosen: LinearSettings, held: npt.NDArray[np.bool_]) -> list[Swept]:
    """Returns what each l2 gave, the largest first: each starts from the weights of the one before."""
    fitted, judged = data.train.take(~held), data.train.take(held)
    if not len(judged) or len(np.unique(fitted.labels)) < 2:
        raise ConfigError(
            "too few training images or groups to hold some out",
            data.set,
            "give one l2, or a larger set",
        )
    scaling = scaling_of(fitted.values, chosen.standardise)
    values, apart = scaling.apply(fitted.values), scaling.apply(judged.values)
    found, head = list[Swept](), None
    for l2 in sorted(chosen.grid, reverse=True):
        head = fit_logistic(values, fitted.labels, len(fitted.classes), l2, chosen.iterations, head, chosen.device)
        found.append(_judge(l2, head, apart, judged))
    return found


def _judge(l2: float, head: Head, values: npt.NDArray[np.float32], judged: FeatureTable) -> Swept:
    right, loss = 0, 0.0
    for start in range(0, len(judged), BLOCK_ROWS):
        labels = judged.labels[start : start + BLOCK_ROWS]
        scores = head.scores(values[start : start + BLOCK_ROWS])
        own = scores[np.arange(len(labels)), labels]
        best = scores.max(axis=1)
        right += int(np.count_nonzero(scores.argmax(axis=1) == labels))
        loss += float((np.log(np.exp(scores - best[:, None]).sum(axis=1)) + best - own).sum())
    return Swept(l2, right / len(judged), loss / len(judged))


@dataclass(frozen=True)
class Scaling:
    """A shift and a scale of each feature."""

    mean: npt.NDArray[np.float64]  # [d]
    scale: npt.NDArray[np.float64]  # [d]

    def apply(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns scaled features [n, d]."""
        found = np.empty_like(values)
        for start in range(0, len(values), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            found[rows] = (values[rows] - self.mean) / self.scale
        return found


def scaling_of(values: npt.NDArray[np.float32], standardise: bool) -> Scaling:
    """Returns the scaling that gives `values` [n, d] mean 0 and standard deviation 1; a feature that is constant is only
    shifted. The one that changes nothing where `standardise` is false."""
    if not standardise:
        return Scaling(np.zeros(values.shape[1]), np.ones(values.shape[1]))
    mean = values.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for start in range(0, len(values), BLOCK_ROWS):
        squares += np.square(values[start : start + BLOCK_ROWS] - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(values))
    constant = deviation <= 1e-7 * np.abs(mean)  # no more than the rounding of float32
    return Scaling(mean, np.where(constant, 1.0, deviation))
