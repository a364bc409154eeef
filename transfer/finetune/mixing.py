"""Mixup of the images of a step, with a partner that depends on the step alone and not on which process has which images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from tagmill.pipeline import Batch, Mix
from tagmill.shards.arrays import Int64s
from tagmill.training.step.seeds import seed_of


def mixing_of(seed: int, step: int, alpha: float, images: int) -> tuple[float, Int64s]:
    """Returns the share of a step, drawn from the beta distribution with both parameters `alpha`, and which slot follows each
    of its slots: a random permutation, [images]."""
    draw = np.random.default_rng(seed_of(seed, step, 1))
    return draw.beta(alpha, alpha), draw.permutation(images)


def partner_of(slot: int, following: Int64s, valid: Mapping[int, bool]) -> int | None:
    """Returns with which slot one that has an image is mixed: the next one that has an image too, in the cycle of slots that
    `following` makes. `valid` says of slots whether they have an image; None where it does not say it of one on the way.
    Over all slots with an image, partners are a random permutation of them."""
    found = int(following[slot])
    while found != slot:
        if (has := valid.get(found)) is None:
            return None
        if has:
            break
        found = int(following[found])
    return found


def mixed_by_one_share(batch: Batch, alpha: float, seed: int, step: int) -> Batch:
    """Returns a batch whose images are mixed with others of it in a random order, all by one share of the beta distribution
    with both parameters `alpha`, as BiT's code does. Slots without an image stay so."""
    share, following = mixing_of(seed, step, alpha, len(batch))
    return mixed_slots(batch, range(len(batch)), len(batch), share, following)


def mixed_slots(batch: Batch, slots: Sequence[int], own: int, share: float, following: Int64s) -> Batch:
    """Returns a batch of some slots of a step, of which the first `own` are mixed, each with its partner, which must be one of
    `slots`; the others are not. `following`: of all slots of the step."""
    rows, valid = {slot: row for row, slot in enumerate(slots)}, batch.valid.tolist()
    known = {slot: valid[row] for slot, row in rows.items()}
    partners = np.full(len(slots), -1, np.int64)
    for row, slot in enumerate(slots[:own]):
        found = partner_of(slot, following, known) if valid[row] else slot
        assert found is not None
        partners[row] = rows[found]
    # The loss wants a permutation: the rows that nothing is mixed into take those that are left, with a share of 0.
    partners[own:] = np.setdiff1d(np.arange(len(slots)), partners[:own])
    shares = torch.full((len(slots),), share, dtype=torch.float32)
    shares[own:] = 1.0
    return replace(batch, mix=Mix(torch.from_numpy(partners), shares))
