"""Tests the order in which a training set is seen."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline import LoaderConfig
from tagmill.transfer.finetune.set_order import SetOrder


def order(images: int, batch_size: int, seed: int = 0) -> SetOrder:
    return SetOrder(LoaderConfig(batch_size=batch_size), images, "digest", seed)


@given(st.integers(1, 60), st.integers(1, 90), st.integers(1, 12), st.integers(0, 2**40))
def test_every_pass_has_each_image_once_and_passes_follow_each_other(
    images: int, batch_size: int, steps: int, seed: int
) -> None:
    asked = order(images, batch_size, seed)
    turns = [asked.turns(step) for step in range(steps)]
    places = np.concatenate([each.places for each in turns])
    passes = np.concatenate([each.passes for each in turns])
    assert (passes == np.arange(len(places)) // images).all()
    for number in range(passes[-1]):
        assert sorted(places[passes == number]) == list(range(images))
    assert max(Counter(places.tolist()).values()) <= passes[-1] + 1


@given(st.integers(2, 60), st.integers(1, 90), st.integers(0, 30), st.integers(0, 2**40))
def test_a_step_is_a_function_of_its_number(images: int, batch_size: int, step: int, seed: int) -> None:
    used = order(images, batch_size, seed)
    for earlier in range(max(0, step - 3), step):
        used.turns(earlier)
    for found, wanted in zip(used.turns(step), order(images, batch_size, seed).turns(step), strict=True):
        assert (found == wanted).all()


def test_passes_and_seeds_have_orders_of_their_own() -> None:
    one, two = order(100, 100), order(100, 100, 1)
    firsts = [tuple(each.turns(step).places) for each in (one, two) for step in (0, 1)]
    assert len(set(firsts)) == 4


def test_a_state_leads_back_to_its_place() -> None:
    asked = order(10, 4)
    asked.step = 7
    asked.skipped["missing"] += 2
    state = asked.state_dict()
    assert (state["epoch"], state["turn"]) == (2, 8)
    other = order(10, 4)
    other.load_state_dict(state)
    assert (other.step, other.skipped, other.state_dict()) == (7, {"missing": 2}, state)
