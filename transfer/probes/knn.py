"""k nearest neighbours by cosine similarity."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagmill.shards import ConfigError
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.probe_input import Places, ProbeInput, Scores, best_classes

KNN = "knn"
DECIMALS = 10  # similarities that agree in so many decimals are equal: one product in two blocks differs after the 14th
_PLACE_BITS = 27
MOST_IMAGES = 2**_PLACE_BITS  # of a training set: similarity and place share 63 bits
_TEST_ROWS, _TRAIN_ROWS = 512, 8192  # a block of similarities takes 32 MiB


@dataclass(frozen=True)
class KnnSettings:
    """How neighbours vote."""

    neighbours: int = 20
    voting: Literal["uniform", "softmax"] = "uniform"  # softmax: a neighbour counts exp(similarity / temperature)
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise ConfigError(f"neighbours = {self.neighbours}", KNN, "give 1 or more")
        if not self.temperature > 0:
            raise ConfigError(f"temperature = {self.temperature}", KNN, "give a number above 0")


def nearest_neighbours(data: ProbeInput, chosen: KnnSettings | None = None) -> Outcome:
    """Returns the outcome of k nearest neighbours. Of training images at the same similarity the one earlier in the set is
    nearer; of classes with equal votes the one with the lower place wins. Classes without a vote are not in `top`. Memory is
    bounded: test and training images meet in blocks. An image whose features are all zero has similarity 0 to every other.
    Raises ConfigError where the training set has fewer images than neighbours."""
    chosen = chosen or KnnSettings()
    train, test = data.train, data.test
    if chosen.neighbours > len(train):
        what = f"{chosen.neighbours} neighbours of {len(train):,} training images"
        raise ConfigError(what, data.set, "give fewer neighbours")
    if len(train) > MOST_IMAGES:
        raise ConfigError(f"more than {MOST_IMAGES:,} training images", data.set, "give a part of the set")
    top = np.empty((len(test), min(5, len(train.classes))), np.int64)
    for start in range(0, len(test), _TEST_ROWS):
        rows = slice(start, start + _TEST_ROWS)
        similarities, places = _nearest(_unit(test.values[rows]), train.values, chosen.neighbours)
        top[rows] = best_classes(_votes(similarities, train.labels[places], len(train.classes), chosen))
    settings: dict[str, object] = {"neighbours": chosen.neighbours, "metric": "cosine", "voting": chosen.voting}
    if chosen.voting == "softmax":
        settings["temperature"] = chosen.temperature
    return data.outcome(KNN, top, settings)


def _unit(values: npt.NDArray[np.float32]) -> Scores:
    exact = values.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(length == 0, 1.0, length)


def _nearest(queries: Scores, train: npt.NDArray[np.float32], count: int) -> tuple[Scores, Places]:
    """Returns similarities and places of the nearest training images of each query, nearest first, [queries, count]."""
    best = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(train), _TRAIN_ROWS):
        block = queries @ _unit(train[start : start + _TRAIN_ROWS]).T
        # One integer a pair: the similarity above, and below it the place, so that the earlier image is nearer.
        ranks = np.rint(block * 10.0**DECIMALS).astype(np.int64) << _PLACE_BITS
        ranks += MOST_IMAGES - 1 - np.arange(start, start + block.shape[1])
        best = np.concatenate([best, ranks], axis=1)
        if best.shape[1] > count:
            best = np.partition(best, best.shape[1] - count, axis=1)[:, -count:]
    best = np.flip(np.sort(best, axis=1), axis=1)
    return (best >> _PLACE_BITS) / 10.0**DECIMALS, MOST_IMAGES - 1 - (best & (MOST_IMAGES - 1))


def _votes(similarities: Scores, labels: Places, classes: int, chosen: KnnSettings) -> Scores:
    """Returns the votes of each class, [n, classes], -inf without a vote."""
    soft = chosen.voting == "softmax"
    # The nearest counts 1: a factor common to all votes changes no order, and a small temperature does not overflow.
    weights = np.exp((similarities - similarities[:, :1]) / chosen.temperature) if soft else np.ones_like(similarities)
    votes = np.zeros((len(labels), classes))
    voters = np.zeros((len(labels), classes), np.bool_)
    rows = np.broadcast_to(np.arange(len(labels))[:, None], labels.shape)
    np.add.at(votes, (rows, labels), weights)
    voters[rows, labels] = True
    return np.where(voters, votes, -np.inf)
