"""Tests with what the images of a step are mixed."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Batch
from tagmill.transfer.finetune.mixing import mixed_by_one_share, mixed_slots, mixing_of, partner_of


def mixing(valid: list[bool], alpha: float, seed: int) -> tuple[Batch, Batch]:
    number = len(valid)
    labels = [np.array([row] if ok else [], np.int32) for row, ok in enumerate(valid)]
    images = torch.arange(number, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    keys, positions = np.zeros((number, 16), np.uint8), np.arange(number)
    plain = Batch.of(images, labels, np.array(valid), number, keys, positions)
    return plain, mixed_by_one_share(plain, alpha, seed, 4)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.floats(0.05, 3), st.integers(0, 2**40))
@settings(deadline=None)
def test_mixup_has_one_share_and_gives_labels_the_shares_of_their_images(
    valid: list[bool], alpha: float, seed: int
) -> None:
    plain, mixed = mixing(valid, alpha, seed)
    assert mixed.mix is not None and len(set(mixed.mix.shares.tolist())) == 1
    assert sorted(mixed.mix.partners.tolist()) == list(range(len(valid)))
    floats = mixed.normalised("float32", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).images[:, 0, 0, 0]
    target = torch.zeros(len(valid))
    rows, ids, weights = mixed.terms()
    target.index_add_(0, rows, weights * ids)  # the labels are the pixels of the images
    assert torch.allclose(target, floats, atol=1e-4)
    assert mixed.mix.partners[~plain.valid].tolist() == plain.positions[~plain.valid].tolist()


def test_mixup_is_a_function_of_seed_and_step() -> None:
    one, two = (mixing([True] * 9, 0.1, 3)[1].mix for _ in range(2))
    assert one is not None and two is not None and all(map(torch.equal, one, two))
    shares = [mix.shares[0].item() for seed in range(400) if (mix := mixing([True], 0.1, seed)[1].mix) is not None]
    # of Beta(0.1, 0.1): mean 1/2, variance 5/24; within 5 deviations of the mean of 400
    assert abs(np.mean(shares) - 0.5) < 5 * (5 / 24 / 400) ** 0.5


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(0, 2**40))
def test_partners_are_a_permutation_of_the_slots_with_an_image(valid: list[bool], seed: int) -> None:
    _, following = mixing_of(seed, 0, 0.1, len(valid))
    filled = [slot for slot, ok in enumerate(valid) if ok]
    known = dict(enumerate(valid))
    assert sorted(str(partner_of(slot, following, known)) for slot in filled) == sorted(map(str, filled))
    for slot in filled:
        if not known.pop(int(following[slot]), True) or following[slot] == slot:
            continue
        assert partner_of(slot, following, {slot: True}) is None


@given(st.lists(st.booleans(), min_size=2, max_size=12), st.integers(1, 4), st.integers(0, 2**40))
@settings(deadline=None)
def test_some_slots_are_mixed_as_in_the_whole_step(valid: list[bool], ranks: int, seed: int) -> None:
    plain, mixed = mixing(valid, 0.3, seed)
    share, following = mixing_of(seed, 4, 0.3, len(valid))
    whole = mixed.normalised("float32", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).images
    for rank in range(min(ranks, len(valid))):
        own = list(range(rank, len(valid), ranks))
        slots = [*own, *(slot for slot in range(len(valid)) if slot not in own)]
        labels = [plain.labels[slot].numpy().astype(np.int32) for slot in slots]
        keys, positions = np.zeros((len(slots), 16), np.uint8), np.arange(len(slots))
        part = Batch.of(plain.images[slots], labels, np.array(valid)[slots], len(slots), keys, positions)
        found = mixed_slots(part, slots, len(own), share, following)
        images = found.normalised("float32", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).images
        assert torch.equal(images[: len(own)], whole[own])
        assert found.mix is not None and sorted(found.mix.partners.tolist()) == list(range(len(slots)))
