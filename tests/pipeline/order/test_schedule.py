"""Tests the division of epochs into batches: every turn once, for any world, from any state."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tagmill.pipeline.config import World
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.schedule import Schedule, Step
from tagmill.shards.errors import ConfigError
from tests.pipeline.brute_order import CASES, Case

MANIFEST, VIEW = bytes(range(32)), bytes(range(32, 64))
MOST_BATCHES = 24  # of an epoch where every state is tried: each takes as long as the rest of its epoch


def schedule(
    world: World | None = None, *, batch_size: int = 12, drop_last: bool = False, epochs: int | None = 3
) -> Schedule:
    counts = np.array([[30, 17, 41], [12, 0, 9]], np.int64)
    fractions = np.array([0, 90_000, 90_000, 200_000], np.int64)
    space = EpochSpace.of_counts(0, counts, fractions, 5)
    return Schedule(space, MANIFEST, VIEW, 1, 4, 2, 4, batch_size, drop_last, epochs, world or World())


def steps_of(worlds: int, batch_size: int, drop_last: bool, start: tuple[int, int] = (0, 0)) -> list[list[Step]]:
    made = [schedule(World(r, worlds), batch_size=batch_size, drop_last=drop_last) for r in range(worlds)]
    return [list(one.steps(*start)) for one in made]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(4, 40), st.booleans())
def test_every_position_once_an_epoch(worlds: int, batch_size: int, drop_last: bool) -> None:
    ranks = steps_of(worlds, batch_size, drop_last)
    assert len({len(steps) for steps in ranks}) == 1
    one = schedule(batch_size=batch_size, drop_last=drop_last)
    for epoch in range(3):
        seen = np.concatenate([step.positions for steps in ranks for step in steps if step.epoch == epoch])
        total = one.space.num_positions(epoch)
        assert len(np.unique(seen)) == len(seen) == one.num_turns(epoch)
        assert len(seen) == (total // batch_size * batch_size if drop_last else total)
        assert one.num_batches(epoch) == sum(step.epoch == epoch for step in ranks[0])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(4, 40), st.booleans(), st.data())
def test_any_state_yields_the_rest(worlds: int, batch_size: int, drop_last: bool, data: st.DataObject) -> None:
    whole = steps_of(1, batch_size, drop_last)[0]
    done = data.draw(st.integers(1, len(whole)))
    ranks = steps_of(worlds, batch_size, drop_last, whole[done - 1].after)
    rest = whole[done:]
    assert [len(steps) for steps in ranks] == [len(rest)] * worlds
    for wanted, *parts in zip(rest, *ranks, strict=True):
        together = np.concatenate([part.positions for part in parts])
        assert sorted(together.tolist()) == sorted(wanted.positions.tolist())
        assert {(part.begin, part.after) for part in parts} == {(wanted.begin, wanted.after)}
        assert {part.progress for part in parts} == {wanted.progress}


@pytest.mark.parametrize("drop_last", [False, True])
def test_each_batch_begins_where_the_one_before_ended(drop_last: bool) -> None:
    one, at = schedule(drop_last=drop_last), (0, 0)
    for step in one.steps(0, 0):
        assert step.begin == at and step.progress == at[0] + at[1] / one.num_turns(at[0])
        at = step.after
    assert at == (3, 0)


@settings(max_examples=60, deadline=None)
@given(
    case=CASES, batch_size=st.integers(1, 60), drop_last=st.booleans(), sizes=st.lists(st.integers(1, 16), min_size=1)
)
def test_any_corpus_resumes_from_every_state_on_any_world(
    case: Case, batch_size: int, drop_last: bool, sizes: list[int]
) -> None:
    """From every state the ranks of another world do next what one rank did next; by induction they do all the rest."""
    space, epochs = case.space(), 2
    lengths = [space.num_positions(epoch) for epoch in range(epochs)]
    batch_size = max(batch_size, max(lengths) // MOST_BATCHES)
    assume(not drop_last or max(lengths) >= batch_size)
    order = (case.seed, case.streams, case.window, case.chunk, batch_size, drop_last, epochs)
    whole = list(Schedule(space, MANIFEST, VIEW, *order, World()).steps(0, 0))
    for epoch, length in enumerate(lengths):
        seen = [place for step in whole if step.epoch == epoch for place in step.positions.tolist()]
        assert len(set(seen)) == len(seen) == (length - length % batch_size if drop_last else length)
        assert set(seen) <= set(range(length))
    states = [(0, 0), *(step.after for step in whole)]
    for number, (state, wanted) in enumerate(zip(states, [*whole, None], strict=True)):
        size = sizes[number % len(sizes)]
        worlds = [Schedule(space, MANIFEST, VIEW, *order, World(rank, size)) for rank in range(size)]
        parts = [next(one.steps(*state), None) for one in worlds]
        if wanted is None:
            assert parts == [None] * size
            continue
        found = [part for part in parts if part is not None]
        assert len(found) == size and {(part.epoch, part.after) for part in found} == {(wanted.epoch, wanted.after)}
        together = np.concatenate([part.positions for part in found])
        assert sorted(together.tolist()) == sorted(wanted.positions.tolist())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(4, 40), st.booleans(), st.data())
def test_visits_are_what_the_steps_need(worlds: int, batch_size: int, drop_last: bool, data: st.DataObject) -> None:
    one = schedule(World(data.draw(st.integers(0, worlds - 1)), worlds), batch_size=batch_size, drop_last=drop_last)
    states = [(0, 0), *(step.after for step in one.steps(0, 0))]
    start = data.draw(st.sampled_from(states))
    needed = [(step.epoch, place) for step in one.steps(*start) for place in step.positions.tolist()]
    read = [(epoch, place) for epoch, visit in one.visits(*start) for place in visit.positions.tolist()]
    assert sorted(read) == sorted(needed)


def test_endless_epochs_follow_each_other() -> None:
    one = schedule(epochs=None)
    epochs = [step.epoch for step in islice(one.steps(0, 0), 60)]
    assert epochs == sorted(epochs)
    assert epochs[-1] >= 4
    assert [epoch for epoch, _ in islice(one.visits(2, 0), 100)][-1] > 2


def test_a_batch_that_is_never_full_raises_an_error() -> None:
    with pytest.raises(ConfigError, match="lower batch_size"):
        schedule(batch_size=500, drop_last=True)
    assert schedule(batch_size=500).num_batches(0) == 1
