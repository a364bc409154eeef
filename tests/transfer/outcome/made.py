"""Outcomes made of numbers."""

from collections.abc import Mapping, Sequence

import numpy as np

from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.sets.labelled_set import SetClass


def made_outcome(
    truth: Sequence[int],
    top: Sequence[Sequence[int]],
    classes: int,
    groups: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Outcome:
    return Outcome(
        "knn",
        "model",
        "test",
        tuple(SetClass(f"class {place}", f"n{place:08d}") for place in range(classes)),
        np.array(list(keys) if keys is not None else [f"key{place}" for place in range(len(truth))]),
        np.array(truth, np.int64),
        np.array(top, np.int64),
        settings or {"k": 20},
        {"truncated": 2},
        None if groups is None else np.array(groups),
    )


def random_outcome(images: int, classes: int, skill: float, seed: int = 0) -> Outcome:
    """The first prediction is right with a chance of about `skill`; truth depends on images and classes alone."""
    truth = np.random.default_rng(images).integers(0, classes, images)
    draws = np.random.default_rng(seed)
    order = np.argsort(draws.random((images, classes)), axis=1)
    sure = draws.random(images) < skill
    top = np.stack(
        [[t, *(c for c in row if c != t)] if s else row for t, row, s in zip(truth, order, sure, strict=True)]
    )
    return made_outcome(truth.tolist(), top[:, :5].tolist(), classes)
