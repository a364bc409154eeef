"""Tests the loss of a constant guess against the losses themselves."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Labels
from tagmill.training.metrics.constant_guess import constant_guess_loss
from tagmill.training.step.losses import sigmoid_loss, softmax_loss
from tests.training.metrics.test_accuracy import vocabulary_of
from tests.training.runs import VIT


def loader_of(counts: list[int], images: int, epoch: int | None = None) -> Any:
    """A stand-in for the loader of a corpus with some images, of which `counts` carry each label."""
    corpus = SimpleNamespace(column=lambda name: np.array([images]))
    space = SimpleNamespace(shards=SimpleNamespace(start=0, stop=1))
    given = {"vocabulary": vocabulary_of(counts), "corpus": corpus, "space": space}
    return SimpleNamespace(**given, samples_per_epoch=images if epoch is None else epoch)


def mean_loss(counts: list[int], loss: str, smoothing: float, logits: torch.Tensor) -> float:
    """Returns the mean loss of images with one label each, which all get the same scores [L]."""
    rows = [np.array([label], np.int32) for label, count in enumerate(counts) for _ in range(count)]
    labels, each = Labels.of(rows), logits.expand(len(rows), -1)
    if loss == "softmax":
        return softmax_loss(each, labels.terms(), smoothing).item() / len(rows)  # type: ignore[arg-type]
    terms = labels.terms()
    return sigmoid_loss(each, terms, labels.terms(shared=False), smoothing).item() / len(rows)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 6), min_size=2, max_size=8),
    loss=st.sampled_from(["softmax", "sigmoid"]),
    smoothing=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 1000),
)
def test_no_constant_scores_are_better(counts: list[int], loss: Any, smoothing: float, seed: int) -> None:
    config, images = replace(VIT, loss=loss, smoothing=smoothing), sum(counts)
    found = constant_guess_loss(config, loader_of(counts, images))
    share = torch.tensor(counts).double() / images
    if loss == "softmax":
        best = torch.log((1 - smoothing) * share + smoothing / len(counts))
    else:
        best = torch.logit((1 - smoothing) * share + smoothing / 2)
    assert found == pytest.approx(mean_loss(counts, loss, smoothing, best.float()), rel=1e-4)
    other = best + torch.randn(len(counts), generator=torch.Generator().manual_seed(seed))
    assert found is not None and mean_loss(counts, loss, smoothing, other.float()) > found - 1e-4


def test_a_view_that_repeats_images_has_the_guess_of_equal_frequencies() -> None:
    assert constant_guess_loss(VIT, loader_of([90, 9, 1], 100, 150)) == pytest.approx(math.log(3))
    assert constant_guess_loss(replace(VIT, loss="sigmoid"), loader_of([90, 9, 1], 100, 150)) is None


def test_an_unknown_guess_is_none() -> None:
    assert constant_guess_loss(VIT, loader_of([0, 0], 10)) is None
    assert constant_guess_loss(replace(VIT, label_weights="idf"), loader_of([5, 5], 10)) is None
