"""Tests the losses against dense targets in float64, and what counts."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.bench.losses import allocated, kept
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


def compare(ours: torch.Tensor, dense: torch.Tensor, logits: torch.Tensor, exact: torch.Tensor) -> None:
    """Compares a loss and its gradient for `logits` with those of a dense target for `exact`, the same numbers in float64."""
    (wanted,), (found,) = torch.autograd.grad(dense * 3, exact), torch.autograd.grad(ours * 3, logits)
    torch.testing.assert_close(ours.double(), dense, rtol=1e-5, atol=1e-5)
    assert found.dtype == logits.dtype
    close = {"rtol": 2e-2, "atol": 3e-2} if logits.dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 2e-6}
    torch.testing.assert_close(found.double(), wanted, **close)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, int, torch.dtype, float, bool, bool]:
    """Seed, images, labels, type of the logits, smoothing, whether labels weigh differently, whether a row is a part."""
    kind = draw(st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
    smoothing = draw(st.sampled_from([0.0, 0.1, 0.5]))
    sizes = draw(st.integers(1, 9)), draw(st.integers(2, 12))
    return draw(st.integers(0, 2**32 - 1)), *sizes, kind, smoothing, draw(st.booleans()), draw(st.booleans())


def logits_of(seed: int, images: int, classes: int, kind: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Generates logits as a network's last layer has them, some large, and the same numbers in float64."""
    draw = np.random.default_rng(seed + 1)
    logits = torch.from_numpy(draw.normal(0, draw.choice([1, 3, 30]), (images, classes))).to(kind)
    return logits.requires_grad_(), logits.detach().double().requires_grad_()


def chunked(patch: pytest.MonkeyPatch, rows: bool, classes: int) -> None:
    """Lets a loss take one or two rows at a time."""
    if rows:
        patch.setitem(losses.CHUNK_BYTES, "cpu", 8 * classes)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_softmax_and_its_gradient_equal_those_of_dense_targets(
    case: tuple[int, int, int, torch.dtype, float, bool, bool],
) -> None:
    seed, images, classes, kind, smoothing, rare, in_parts = case
    terms, dense = terms_of(np.random.default_rng(seed), images, classes)
    if rare:
        weights = torch.from_numpy(np.random.default_rng(seed + 2).uniform(0.1, 5, classes))
        mass = dense.sum(1, keepdim=True)
        dense = dense * weights
        dense = dense * mass / dense.sum(1, keepdim=True).clamp(min=1e-9)
        terms = weighed(terms, weights.float(), images)
    logits, exact = logits_of(seed, images, classes, kind)
    target = (1 - smoothing) * dense + smoothing * dense.sum(1, keepdim=True) / classes
    with pytest.MonkeyPatch.context() as patch:
        chunked(patch, in_parts, classes)
        compare(softmax_loss(logits, terms, smoothing), -(target * torch.log_softmax(exact, 1)).sum(), logits, exact)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_sigmoid_and_its_gradient_equal_those_of_dense_targets(
    case: tuple[int, int, int, torch.dtype, float, bool, bool],
) -> None:
    seed, images, classes, kind, smoothing, _, in_parts = case
    terms, dense = terms_of(np.random.default_rng(seed), images, classes)
    targets, multi_hot = terms_of(np.random.default_rng(seed), images, classes, shared=False)
    logits, exact = logits_of(seed, images, classes, kind)
    mass = dense.sum(1, keepdim=True)
    target = (1 - smoothing) * multi_hot + smoothing / 2 * mass
    wanted = (mass * torch.nn.functional.softplus(exact, threshold=700) - target * exact).sum()
    with pytest.MonkeyPatch.context() as patch:
        chunked(patch, in_parts, classes)
        compare(sigmoid_loss(logits, terms, targets, smoothing), wanted, logits, exact)


def test_gradients_are_those_of_finite_differences() -> None:
    terms, _ = terms_of(np.random.default_rng(3), 5, 7)
    targets, _ = terms_of(np.random.default_rng(3), 5, 7, shared=False)
    exact = Terms(terms.rows, terms.ids, terms.weights.double())
    exact_targets = Terms(targets.rows, targets.ids, targets.weights.double())
    logits = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    for smoothing in (0.0, 0.2):
        assert torch.autograd.gradcheck(lambda values, s=smoothing: softmax_loss(values, exact, s), logits)
        assert torch.autograd.gradcheck(
            lambda values, s=smoothing: sigmoid_loss(values, exact, exact_targets, s), logits
        )


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_loss_keeps_its_logits_alone_and_makes_their_gradient_alone(
    loss: str, kind: torch.dtype, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, classes = 256, 1000
    monkeypatch.setitem(losses.CHUNK_BYTES, "cpu", 16 * 4 * classes)
    terms, _ = terms_of(np.random.default_rng(0), images, classes)
    targets, _ = terms_of(np.random.default_rng(0), images, classes, shared=False)
    logits = torch.randn(images, classes, dtype=kind, requires_grad=True)
    if loss == "softmax":
        call = functools.partial(softmax_loss, terms=terms, smoothing=smoothing)
    else:
        call = functools.partial(sigmoid_loss, terms=terms, targets=targets, smoothing=smoothing)
    small = (24 * 2 * len(terms.rows) + 8 * images) / logits.nbytes
    parts = 4 * 16 * 4 * classes / logits.nbytes  # some in float32
    assert 1 < kept(call, logits) <= 1 + small
    assert 1 <= allocated(call, logits) <= 1 + small + parts


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


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_process_without_images_has_a_loss_of_zero(smoothing: float) -> None:
    logits, none = torch.randn(0, 7, requires_grad=True), Labels.of([]).terms()
    for loss in (softmax_loss(logits, none, smoothing), sigmoid_loss(logits, none, none, smoothing)):
        loss.backward()
        assert loss.item() == 0 and logits.grad is not None and logits.grad.shape == (0, 7)


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
