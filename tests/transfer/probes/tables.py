"""Feature tables made of numbers alone."""

from collections.abc import Sequence

import numpy as np

from tagmill.transfer.features.feature_table import FeatureTable
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.sets.labelled_set import SetClass


def table(values: object, labels: Sequence[int], classes: int, groups: Sequence[str] | None = None) -> FeatureTable:
    """A table of these features; images are named by their place."""
    keys = np.array([f"{place:06d}" for place in range(len(labels))], dtype=np.str_)
    return FeatureTable(
        np.asarray(values, np.float32),
        np.asarray(labels, np.int64),
        keys,
        keys if groups is None else np.asarray(groups, np.str_),
        tuple(SetClass(f"class {place}") for place in range(classes)),
        {},
    )


def clouds(count: int, size: int, classes: int, seed: int, spread: float = 1.0) -> FeatureTable:
    """Clouds of points around a centre a class, that overlap by `spread`; the centres do not depend on the seed."""
    centres = np.random.default_rng(20).normal(size=(classes, size))
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    return table(centres[labels] + spread * draw.normal(size=(count, size)), labels.tolist(), classes)


def given(train: FeatureTable, test: FeatureTable) -> ProbeInput:
    return ProbeInput("a model", "a set", train, test)
