"""Tests that the control gives each image the labels of another one."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Labels
from tagmill.training.step.control import shuffled


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_the_control_gives_every_label_to_another_image(seed: int, images: int) -> None:
    draw = np.random.default_rng(seed)
    rows = [np.full(draw.integers(0, 3), row) for row in range(images)]  # an image's labels are its own number
    labels = Labels.of([ids.astype(np.int32) for ids in rows])
    given_ = shuffled(labels, {"turn": seed}, torch.arange(images))
    labelled = {row for row in range(images) if len(rows[row])}
    taught = {row: set(given_[row].tolist()) for row in range(images)}
    assert all(row not in taught[row] for row in range(images))
    if len(labelled) > 1:
        assert sorted(row for ids in taught.values() for row in ids) == sorted(labelled)
    assert torch.equal(given_.ids, shuffled(labels, {"turn": seed}, torch.arange(images)).ids)


def test_the_control_depends_on_state_and_positions() -> None:
    labels = Labels.of([np.array([row], np.int32) for row in range(50)])
    orders = {tuple(shuffled(labels, {"turn": turn}, torch.arange(50)).ids.tolist()) for turn in range(5)}
    assert len(orders) == 5
