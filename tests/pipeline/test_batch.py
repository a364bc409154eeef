"""Tests batches: labels in compressed rows, the terms of the loss, normalisation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.batch import PADDING, Batch, Labels, Mix

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
NEEDS_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
ROWS = st.lists(st.lists(st.integers(0, 20), max_size=5, unique=True), max_size=12)


def labels_of(rows: list[list[int]]) -> Labels:
    return Labels.of([np.array(row, np.int32) for row in rows])


def batch_of(rows: list[list[int]], valid: list[bool], size: int = 5) -> Batch:
    places = len(rows)
    draw = np.random.default_rng(places)
    images = torch.from_numpy(draw.integers(0, 256, (places, size, size, 3), np.uint8)).permute(0, 3, 1, 2)
    images[~torch.tensor(valid, dtype=torch.bool)] = 0
    keys = draw.integers(0, 256, (places, 16)).astype(np.uint8)
    positions = np.arange(places, dtype=np.int64)
    positions[-1] = PADDING
    ids = [np.array(row, np.int32) for row in rows]
    return Batch.of(images, ids, np.array(valid), places - 1, keys, positions)


@given(ROWS)
def test_rows_of_labels_are_preserved(rows: list[list[int]]) -> None:
    labels = labels_of(rows)
    assert len(labels) == len(rows)
    assert [labels[i].tolist() for i in range(len(rows))] == rows
    assert labels.ids.dtype == labels.offsets.dtype == torch.int64


@given(ROWS)
def test_terms_make_the_dense_target(rows: list[list[int]]) -> None:
    dense = torch.zeros(len(rows), 21)
    for i, row in enumerate(rows):
        for label in row:
            dense[i, label] = 1 / len(row)
    terms = labels_of(rows).terms()
    made = torch.zeros(len(rows), 21).index_put((terms.rows, terms.ids), terms.weights, accumulate=True)
    assert torch.equal(made, dense)
    assert terms.weights.dtype == torch.float32


def test_rows_outside_the_labels_raise_an_error() -> None:
    labels = labels_of([[3], [], [1, 2]])
    assert labels[-1].tolist() == [1, 2]
    for row in (3, -4):
        with pytest.raises(IndexError):
            labels[row]


@pytest.mark.parametrize(("output", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_normalised(output: str, dtype: torch.dtype) -> None:
    batch = batch_of([[1], [2], [], []], [True, True, False, False])
    normal = batch.normalised(output, MEAN, STD)
    assert normal.images.dtype == dtype
    assert normal.images.is_contiguous(memory_format=torch.channels_last)
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    wanted = (batch.images[:2].float() - mean) / std
    assert torch.allclose(normal.images[:2].float(), wanted, atol=1e-5 if output == "float32" else 1e-2)
    assert not normal.images[2:].any()  # a slot without an image is zero, not a black image
    assert normal.keys is batch.keys


def test_uint8_is_not_normalised() -> None:
    batch = batch_of([[1], []], [True, False])
    assert batch.normalised("uint8", MEAN, STD) is batch


def test_to_keeps_everything() -> None:
    batch = batch_of([[1], [4, 5], []], [True, True, False])
    moved = batch.to("cpu", non_blocking=True)
    assert len(moved) == 3 and moved.count == 2
    assert moved.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.sources.tolist() == [0, 0, -1]  # one corpus, and padding
    for name in ("images", "valid", "positions", "sources"):
        assert torch.equal(getattr(moved, name), getattr(batch, name))
    assert torch.equal(moved.labels.ids, batch.labels.ids) and torch.equal(moved.labels.offsets, batch.labels.offsets)
    assert moved.key(1) == bytes(batch.keys[1]).hex()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_A_GPU)])
@given(rows=ROWS, mixes=st.booleans())
def test_a_batch_is_carried_in_one_copy(device: str, rows: list[list[int]], mixes: bool) -> None:
    rows = [*rows, [3], []]
    batch = batch_of(rows, [bool(row) for row in rows])
    if mixes:
        batch = replace(batch, mix=Mix(torch.arange(len(rows)).flip(0), torch.rand(len(rows))))
    there = batch.carried(device)
    assert there.count == batch.count and there.keys is batch.keys and (there.mix is not None) == mixes
    for found, sent in zip(there.tensors(), batch.tensors(), strict=True):
        assert found.dtype == sent.dtype and found.device.type == device and torch.equal(found.cpu(), sent)
    facts = there.tensors()[1:]
    assert len({fact.untyped_storage().data_ptr() for fact in facts}) == 1
    assert there.images.is_contiguous(memory_format=torch.channels_last)


@NEEDS_A_GPU
def test_pinned_batches_go_to_the_gpu() -> None:
    batch = batch_of([[1], [4, 5], []], [True, True, False])
    moved = batch.pin_memory().to("cuda", non_blocking=True)
    assert torch.equal(moved.images.cpu(), batch.images)
    assert moved.images.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 2**32 - 1))
def test_mixed_terms_make_the_mixed_dense_target(rows: list[list[int]], seed: int) -> None:
    rows = [*rows, [1, 2], []]
    batch, draw = batch_of(rows, [True] * len(rows)), np.random.default_rng(seed)
    partners, shares = (
        torch.from_numpy(draw.permutation(len(rows))),
        torch.from_numpy(draw.random(len(rows), np.float32)),
    )
    dense = torch.zeros(len(rows), 21)
    own = batch.terms()
    dense.index_put_((own.rows, own.ids), own.weights, accumulate=True)
    mixed = replace(batch, mix=Mix(partners, shares))
    terms = mixed.terms()
    made = torch.zeros(len(rows), 21).index_put((terms.rows, terms.ids), terms.weights, accumulate=True)
    assert torch.allclose(made, shares[:, None] * dense + (1 - shares[:, None]) * dense[partners], atol=1e-6)
    plain = batch.normalised("float32", MEAN, STD).images
    wanted = torch.stack([share * plain[row] + (1 - share) * plain[partners[row]] for row, share in enumerate(shares)])
    assert torch.allclose(mixed.normalised("float32", MEAN, STD).images, wanted, atol=1e-6)
    assert mixed.to("cpu").mix is not None and torch.equal(mixed.to("cpu").terms().weights, terms.weights)


@given(st.integers(0, 2**32), st.integers(0, 9))
def test_shuffled_labels_belong_to_another_image(seed: int, count: int) -> None:
    labels = labels_of([*([row] for row in range(count)), []])
    found = [row.tolist() for row in (labels.shuffled(seed)[row] for row in range(count + 1))]
    assert found[-1] == [] and (count == 1 or sorted(label for row in found for label in row) == list(range(count)))
    assert all(found[row] != [row] for row in range(count))
