"""Tests that slices together are the batch, and that networks with batch statistics see images only."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Batch, LoaderConfig
from tagmill.pipeline.batch import Mix
from tagmill.training.step.losses import masses, sigmoid_loss, softmax_loss
from tagmill.training.step.slices import slices

HOW = (LoaderConfig.mean, LoaderConfig.std)


def batch_of(draw: np.random.Generator, slots: int, valid: np.ndarray, *, mixed: bool = False) -> Batch:
    """Generates a batch of uint8 images with up to two labels each; slots that are not valid are black and have none."""
    images = torch.from_numpy(draw.integers(0, 256, (slots, 3, 4, 4), np.uint8) * valid[:, None, None, None])
    counts = draw.integers(0, 3, slots) * valid
    labels = [draw.choice(5, count, replace=False).astype(np.int32) for count in counts]
    made = Batch.of(images, labels, valid, slots, np.zeros((slots, 16), np.uint8), np.arange(slots))
    if mixed:
        partners, shares = draw.permutation(slots), draw.uniform(0, 1, slots).astype(np.float32)
        made = replace(made, mix=Mix(torch.from_numpy(partners), torch.from_numpy(shares)))
    return made


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 6), st.booleans(), st.booleans(), st.booleans())
def test_slices_together_are_the_batch(
    seed: int, slots: int, parts: int, only_valid: bool, mixed: bool, holes: bool
) -> None:
    draw = np.random.default_rng(seed)
    valid = draw.random(slots) < (0.7 if holes else 2)
    batch = batch_of(draw, slots, valid, mixed=mixed and bool(valid.all()))
    assert batch.filled == valid.sum()
    whole, terms = batch.normalised("float32", *HOW).images, batch.terms()
    found, seen, sums = slices(batch, parts, only_valid=only_valid), list[int](), torch.zeros(slots)
    logits, loss = torch.randn(slots, 5), torch.zeros(())
    for part in found:
        assert torch.equal(batch.normalised_rows(part.rows, "float32", *HOW), whole[part.rows])
        mass = masses(part.terms(terms), len(part.rows))
        sums.index_add_(0, part.rows, mass)
        seen += part.rows.tolist()
        loss = loss + softmax_loss(logits[part.rows], part.terms(terms))
    torch.testing.assert_close(loss, softmax_loss(logits, terms))
    torch.testing.assert_close(sums, masses(terms, slots))
    if only_valid and valid.sum() > 1:
        assert seen == np.flatnonzero(valid).tolist() and min(len(part.rows) for part in found) >= 2
    elif not only_valid:
        assert seen == list(range(slots)) and len(found) == min(parts, slots)
        assert max(len(part.rows) for part in found) - min(len(part.rows) for part in found) <= 1


@pytest.mark.parametrize(("valid", "rows"), [([False, True, False], [1, 1]), ([False] * 3, [0])])
def test_a_batch_with_one_image_has_it_twice_and_without_one_a_black_one(valid: list[bool], rows: list[int]) -> None:
    batch = batch_of(np.random.default_rng(0), 3, np.array(valid))
    (part,) = slices(batch, 4, only_valid=True)
    assert part.rows.tolist() == rows


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 6), st.floats(0, 1), st.sampled_from([0, 1]))
def test_fillers_make_the_number_of_slices_that_of_all_processes_and_teach_nothing(
    seed: int, slots: int, parts: int, share: float, size: int
) -> None:
    draw = np.random.default_rng(seed)
    batch = batch_of(draw, slots, draw.random(slots) < share)
    terms, found = batch.terms(), slices(batch, parts, only_valid=True, filler_size=size)
    assert len(found) == min(parts, slots)
    real = [part for part in found if not part.filler]
    assert [part.rows.tolist() for part in real] == [
        part.rows.tolist() for part in slices(batch, parts, only_valid=True) if not part.filler
    ]
    assert bool(real) == bool(batch.filled)
    for part in found:
        logits = torch.randn(len(part.rows), 5, requires_grad=True)
        targets = part.terms(batch.terms(shared=False))
        for loss in (softmax_loss(logits, part.terms(terms), 0.1), sigmoid_loss(logits, part.terms(terms), targets)):
            (gradient,) = torch.autograd.grad(loss, logits)
            if part.filler:
                assert len(part.rows) == size and loss == 0 and not gradient.any()
    assert all(part.filler is False for part in slices(batch, parts, only_valid=False, filler_size=size))


def test_images_are_normalised_to_bfloat16_in_channels_last_memory() -> None:
    batch = batch_of(np.random.default_rng(3), 4, np.ones(4, bool), mixed=True)
    found = batch.normalised_rows(torch.tensor([2, 0]), "bfloat16", *HOW)
    assert found.dtype == torch.bfloat16 and found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, batch.normalised("bfloat16", *HOW).images[[2, 0]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 4), st.integers(1, 4), st.booleans())
def test_of_a_batch_with_images_of_others_the_own_ones_are_in_slices(
    seed: int, own: int, others: int, parts: int, only_valid: bool
) -> None:
    draw = np.random.default_rng(seed)
    valid = draw.random(own + others) < 0.6
    found = slices(batch_of(draw, own + others, valid), parts, only_valid=only_valid, own=own)
    rows = [row for part in found for row in part.rows.tolist()]
    wanted = np.flatnonzero(valid[:own]).tolist() if only_valid else list(range(own))
    filler = not wanted
    assert [part.filler for part in found] == [filler] * len(found)
    assert filler or sorted(set(rows)) == wanted
