"""Tests the losses against dense targets in float64, and what counts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Labels, Terms
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.training.step import losses
from tagmill.training.step.losses import idf_weights, masses, sigmoid_loss, softmax_loss, weighed


def terms_of(
    draw: np.random.Generator, images: int, classes: int, *, shared: bool = True
) -> tuple[Terms, torch.Tensor]:
    """Generates ragged labels, none for some images, mixed by mixup's shares; returns the pairs and the dense target."""
    rows = [draw.choice(classes, draw.integers(0, min(4, classes) + 1), replace=False) for _ in range(images)]
    labels = Labels.of([row.astype(np.int32) for row in rows])
    own, partners, shares = labels.terms(shared=shared), draw.permutation(images), draw.uniform(0, 1, images)
    kept = [
        [row, int(label), shares[row] / (len(rows[row]) if shared else 1)]
        for row in range(images)
        for label in rows[row]
    ]
    for row, partner in enumerate(partners):
        k = len(rows[partner]) if shared else 1
        kept += [[row, int(label), (1 - shares[row]) / k] for label in rows[partner]]
    assert len(own.rows) == sum(map(len, rows))
    pairs = np.array(kept, np.float64).reshape(-1, 3)
    dense = torch.zeros(images, classes, dtype=torch.float64)
    places = torch.from_numpy(pairs[:, 0]).long(), torch.from_numpy(pairs[:, 1]).long()
    dense.index_put_(places, torch.from_numpy(pairs[:, 2]), accumulate=True)
    made = Terms(*(torch.from_numpy(pairs[:, column]) for column in range(3)))
    return Terms(made.rows.long(), made.ids.long(), made.weights.float()), dense


def compare(ours: torch.Tensor, dense: torch.Tensor, logits: torch.Tensor) -> None:
    (wanted,), (found,) = torch.autograd.grad(dense, logits, retain_graph=True), torch.autograd.grad(ours, logits)
    torch.testing.assert_close(ours.double(), dense, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 12), st.sampled_from([0.0, 0.1, 0.5]))
def test_softmax_and_its_gradient_equal_those_of_dense_targets(
    seed: int, images: int, classes: int, smoothing: float
) -> None:
    draw = np.random.default_rng(seed)
    terms, dense = terms_of(draw, images, classes)
    logits = torch.from_numpy(draw.normal(0, 3, (images, classes))).requires_grad_()
    target = (1 - smoothing) * dense + smoothing * dense.sum(1, keepdim=True) / classes
    compare(softmax_loss(logits, terms, smoothing), -(target * torch.log_softmax(logits, 1)).sum(), logits)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 12), st.sampled_from([0.0, 0.1]), st.booleans())
def test_sigmoid_and_its_gradient_equal_those_of_dense_targets(
    seed: int, images: int, classes: int, smoothing: float, chunked: bool
) -> None:
    terms, dense = terms_of(np.random.default_rng(seed), images, classes)
    targets, multi_hot = terms_of(np.random.default_rng(seed), images, classes, shared=False)
    logits = torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 3, (images, classes))).requires_grad_()
    mass = dense.sum(1, keepdim=True)
    target = (1 - smoothing) * multi_hot + smoothing / 2 * mass
    wanted = (mass * torch.nn.functional.softplus(logits) - target * logits).sum()
    with pytest.MonkeyPatch.context() as patch:
        if chunked:
            patch.setattr(losses, "CHUNK_BYTES", 8 * classes)
        compare(sigmoid_loss(logits, terms, targets, smoothing), wanted, logits)


def test_sigmoid_without_mixup_is_binary_cross_entropy() -> None:
    labels = Labels.of([np.array([1, 3], np.int32), np.array([0], np.int32)])
    logits, target = torch.randn(2, 5), torch.tensor([[0.0, 1, 0, 1, 0], [1, 0, 0, 0, 0]])
    found = sigmoid_loss(logits, labels.terms(), labels.terms(shared=False))
    torch.testing.assert_close(
        found, torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    )


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_images_without_labels_add_nothing(loss: str) -> None:
    labels = Labels.of([np.array([1], np.int32), np.empty(0, np.int32)])
    logits = torch.randn(2, 3, requires_grad=True)
    terms, targets = labels.terms(), labels.terms(shared=False)
    (softmax_loss(logits, terms, 0.1) if loss == "softmax" else sigmoid_loss(logits, terms, targets, 0.1)).backward()
    assert logits.grad is not None and logits.grad[0].any() and not logits.grad[1].any()


def test_rare_labels_weigh_more_within_an_image() -> None:
    counts = enumerate((0, 9, 999))
    vocabulary = Vocabulary(
        tuple(Label(each, f"l{each}", (f"n{each:08d}",), (f"l{each}",), {}, count) for each, count in counts)
    )
    weights = idf_weights(vocabulary, 1000)
    assert weights.tolist() == pytest.approx([math.log(1000), math.log(100), 1e-3], abs=1e-6)
    labels = Labels.of([np.array([0, 1], np.int32), np.array([2], np.int32), np.empty(0, np.int32)])
    found = weighed(labels.terms(), weights, 3)
    assert found.weights.tolist() == pytest.approx([0.6, 0.4, 1.0])
    assert masses(found, 3).tolist() == pytest.approx([1.0, 1.0, 0.0])
