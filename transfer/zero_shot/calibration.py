"""Calibration of a model's outputs: one temperature for all labels, and a bias for each.

A model that learned hashtags gives the frequent ones more than their share. SWAG's authors describe Platt scaling towards a
uniform reference distribution; its details are not published. Here:

* the temperature is the one under which the corpus's own tags of held-out images are likeliest (softmax cross-entropy with
  target 1/k on each of k tags, the loss of the papers);
* the biases are those with which the mean output over unlabelled images is uniform over the labels. They are the fixed point of
  `bias -= log(labels x mean output)`, an iteration of Sinkhorn and Knopp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from tagmill.shards import ConfigError, TagmillError

TOLERANCE = 0.01  # of labels x mean output, for every label
MOST_ROUNDS = 20_000
MOST_ENTRIES = 1 << 27  # logits in memory: 512 MiB, and as much again while biases are fitted
HOTTEST = 100.0  # temperatures are sought between 1 / HOTTEST and HOTTEST
_FAR = 20.0  # natural logarithms that a factor may grow before it is moved into the exponent
_ROWS = 1 << 22  # entries that are converted at a time

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """What makes outputs comparable between the labels of a model: softmax(logits / temperature + biases)."""

    temperature: float
    biases: npt.NDArray[np.float64]  # [labels], their mean is 0
    facts: Mapping[str, object]  # how it was made

    def log_shares(self, logits: Logits) -> npt.NDArray[np.float64]:
        """Returns the logarithms of the calibrated outputs, [n, labels]."""
        shifted = logits.astype(np.float64) / self.temperature + self.biases
        shares: npt.NDArray[np.float64] = shifted - logsumexp(shifted, axis=1, keepdims=True)
        return shares


def no_calibration(labels: int) -> Calibration:
    """Returns the calibration that leaves a softmax as it is."""
    return Calibration(1.0, np.zeros(labels), {"calibrated": False})


def fit_temperature(logits: Logits, tags: Sequence[Sequence[int]]) -> float:
    """Returns the temperature under which the tags of images are likeliest.

    `logits`: [n, labels], `tags`: the labels of each image; images without any are left out. Raises ConfigError where no image
    has a tag, and TagmillError for logits that are not finite.
    """
    _check_logits(logits)
    rows = np.array([row for row, own in enumerate(tags) if len(own)], np.int64)
    if not len(rows):
        raise ConfigError(
            "no held-out image with a label of the model", "temperature", "give a corpus of the model's labels"
        )
    hits = np.array([logits[row, list(tags[row])].mean(dtype=np.float64) for row in rows])

    def loss(logarithm: float) -> float:
        sharpness = float(np.exp(-logarithm))
        mass = sum(float(logsumexp(logits[part] * sharpness, axis=1).sum()) for part in _parts(rows, logits.shape[1]))
        return mass / len(rows) - sharpness * float(hits.mean())

    bound = float(np.log(HOTTEST))
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def fit_biases(
    logits: Logits, temperature: float = 1.0, tolerance: float = TOLERANCE, most_rounds: int = MOST_ROUNDS
) -> tuple[npt.NDArray[np.float64], float, int]:
    """Returns the biases with which the mean output over images is uniform, [labels]; the largest |labels x mean - 1| that is
    left, at most `tolerance`; and the number of rounds.

    `logits`: [n, labels] of unlabelled images. Raises TagmillError for logits that are not finite, and where the iteration
    does not end.
    """
    _check_logits(logits)
    count, labels = logits.shape
    if not count:
        raise ConfigError("no image to calibrate on", "biases", "give a set of unlabelled images")
    biases = -_log_means(logits, temperature)
    kernel, factors, left = _kernel(logits, temperature, biases), np.ones(labels, np.float32), np.inf
    for round in range(most_rounds):
        weights = 1 / (kernel @ factors)
        means = factors * (weights @ kernel) * (labels / count)
        left = float(np.abs(means - 1).max())
        if left <= tolerance:
            biases += np.log(factors, dtype=np.float64)
            return biases - biases.mean(), left, round
        factors = factors / means
        if np.abs(np.log(factors)).max() > _FAR:
            biases += np.log(factors, dtype=np.float64)
            kernel, factors = _kernel(logits, temperature, biases), np.ones(labels, np.float32)
    what = f"mean outputs that stay {left:.3f} of their share away from uniform after {most_rounds:,} rounds"
    raise TagmillError(what, "biases", "give more unlabelled images, or a higher --temperature")


def calibrate(
    unlabelled: Logits, tagged: Logits | None, tags: Sequence[Sequence[int]], temperature: float | None = None
) -> Calibration:
    """Returns a calibration: the temperature that is given, or that of `tagged` images and their `tags`, or 1 where there are
    none; and biases from `unlabelled` images."""
    source = "given"
    if temperature is None:
        source = "1, no tags given" if tagged is None else "likelihood of held-out tags"
        temperature = 1.0 if tagged is None else fit_temperature(tagged, tags)
    biases, left, rounds = fit_biases(unlabelled, temperature)
    facts = {
        "calibrated": True,
        "temperature": temperature,
        "temperature_from": source,
        "unlabelled_images": len(unlabelled),
        "tagged_images": sum(len(own) > 0 for own in tags) if tagged is not None else 0,
        "largest_deviation": left,
        "rounds": rounds,
    }
    return Calibration(temperature, biases, facts)


def _check_logits(logits: Logits) -> None:
    if logits.size > MOST_ENTRIES:
        what = f"{logits.shape[0]:,} x {logits.shape[1]:,} logits, more than {MOST_ENTRIES:,}"
        raise ConfigError(what, "calibration", "calibrate on fewer images")
    if not np.isfinite(logits).all():
        raise TagmillError("logits that are not finite", "calibration", "take an earlier checkpoint")


def _parts(rows: npt.NDArray[np.int64], labels: int) -> list[npt.NDArray[np.int64]]:
    step = max(1, _ROWS // labels)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _log_means(logits: Logits, temperature: float) -> npt.NDArray[np.float64]:
    """Returns log(labels x mean output) of each label, exact where a mean is smaller than any number: [labels]."""
    found = np.full(logits.shape[1], -np.inf)
    for part in _parts(np.arange(len(logits)), logits.shape[1]):
        shifted = logits[part].astype(np.float64) / temperature
        shifted -= logsumexp(shifted, axis=1, keepdims=True)
        found = np.logaddexp(found, logsumexp(shifted, axis=0))
    means: npt.NDArray[np.float64] = found + np.log(logits.shape[1] / len(logits))
    return means


def _kernel(logits: Logits, temperature: float, biases: npt.NDArray[np.float64]) -> Logits:
    """Returns the outputs under these biases, [n, labels]; each row sums to 1."""
    kernel = np.empty_like(logits)
    for part in _parts(np.arange(len(logits)), logits.shape[1]):
        shifted = logits[part].astype(np.float64) / temperature + biases
        kernel[part] = np.exp(shifted - logsumexp(shifted, axis=1, keepdims=True))
    return kernel
