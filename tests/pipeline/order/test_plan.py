"""Tests the order of an epoch against direct enumeration; ranks, batches, visits and resuming."""

from collections import Counter, deque

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tagmill.pipeline.config import World
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.plan import Plan, even_world_size, local_batch_size, local_counts, open_samples
from tagmill.shards.errors import ConfigError
from tests.pipeline.brute_order import CASES, MANIFEST, ONE, VIEW, Case

WORLDS = st.integers(1, 16)
GOLDEN_ORDER = [15, 7, 14, 5, 3, 6, 2, 4, 8, 20, 12, 21, 13, 18, 9, 19, 22, 1, 17, 10, 11, 0, 16]


@settings(max_examples=200, deadline=None)
@given(case=CASES, data=st.data())
def test_the_order_equals_the_enumerated_one(case: Case, data: st.DataObject) -> None:
    plan, order = case.plan(), case.order()
    assert plan.num_turns == len(order)
    found = plan.positions(np.arange(plan.num_turns))
    assert found.dtype == np.int64
    assert found.tolist() == order
    assert sorted(order) == list(range(len(order)))
    some = data.draw(st.lists(st.integers(0, max(0, len(order) - 1)), max_size=20 if order else 0))
    assert plan.positions(np.array(some, np.int64)).tolist() == [order[turn] for turn in some]


@settings(max_examples=100, deadline=None)
@given(case=CASES, batch_size=st.integers(1, 50), size=WORLDS)
def test_ranks_share_every_batch(case: Case, batch_size: int, size: int) -> None:
    plan = case.plan()
    for start in range(0, plan.num_turns, batch_size):
        parts = [plan.local_turns(start, batch_size, World(rank, size)).tolist() for rank in range(size)]
        assert sorted(turn for part in parts for turn in part) == list(
            range(start, min(start + batch_size, plan.num_turns))
        )
        assert all(part == sorted(part) for part in parts)
        for rank, part in enumerate(parts):
            assert all(turn % case.streams % size == rank for turn in part)


@settings(max_examples=200, deadline=None)
@given(case=CASES, size=WORLDS, share=st.floats(0, 1))
def test_visits_contain_the_rest_and_never_exceed_the_capacity(case: Case, size: int, share: float) -> None:
    """A reader that opens each visit as soon as it fits, and frees capacity turn by turn, always has the next turn."""
    assume(size <= case.streams)
    plan = case.plan()
    from_turn = int(share * plan.num_turns)
    for rank in range(size):
        world = World(rank, size)
        room = open_samples(case.streams, case.window, case.chunk, world)
        visits = deque(plan.visits(from_turn, world))
        turns = plan.local_turns(from_turn, plan.num_turns, world)
        wanted = plan.positions(turns).tolist()
        assert Counter(p for visit in visits for p in visit.positions.tolist()) == Counter(wanted)
        held: set[int] = set()
        for position in wanted:
            while visits and len(held) + len(visits[0].positions) <= room:
                held.update(visits.popleft().positions.tolist())
            assert position in held
            held.remove(position)
        assert not held and not visits


@settings(max_examples=100, deadline=None)
@given(case=CASES, size=WORLDS, share=st.floats(0, 1))
def test_a_visit_has_one_chunk_and_comes_in_the_order_of_need(case: Case, size: int, share: float) -> None:
    plan = case.plan()
    turn_of = {position: turn for turn, position in enumerate(case.order())}
    seen, needed = set[int](), -1
    for visit in plan.visits(int(share * plan.num_turns), World(size - 1, size)):
        positions = visit.positions.tolist()
        (chunk,) = {position // case.chunk for position in positions}
        assert positions == sorted(positions) and chunk not in seen
        seen.add(chunk)
        turns = [turn_of[position] for position in positions]
        assert visit.turn == min(turns) > needed and len({turn // plan.block for turn in turns}) == 1
        needed = visit.turn


@settings(max_examples=60, deadline=None)
@given(case=CASES, batch_size=st.integers(1, 60), sizes=st.lists(WORLDS, min_size=1, max_size=5), data=st.data())
def test_another_world_resumes_exactly(case: Case, batch_size: int, sizes: list[int], data: st.DataObject) -> None:
    """A run that is stopped and resumed on other world sizes sees every position once, in the batches of an undisturbed
    run."""
    plan, order = case.plan(), case.order()
    turn, seen = 0, []
    while turn < plan.num_turns:
        size = data.draw(st.sampled_from(sizes))
        for _ in range(data.draw(st.integers(1, 4))):
            batch = [plan.positions(plan.local_turns(turn, batch_size, World(rank, size))) for rank in range(size)]
            seen.append(sorted(np.concatenate(batch).tolist()))
            turn = min(turn + batch_size, plan.num_turns)
            if turn == plan.num_turns:
                break
    assert seen == [sorted(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]


@settings(max_examples=200, deadline=None)
@given(streams=st.integers(1, 40), batch_size=st.integers(1, 100), size=WORLDS)
def test_the_local_batch_size_is_right_for_every_offset(streams: int, batch_size: int, size: int) -> None:
    counts = [
        sum(turn % streams % size == rank for turn in range(offset, offset + batch_size))
        for offset in range(streams)
        for rank in range(size)
    ]
    world = World(0, size)
    if min(counts) == 0:
        with pytest.raises(ConfigError):
            local_batch_size(streams, batch_size, world)
    else:
        assert local_batch_size(streams, batch_size, world) == max(counts)
    if size <= streams:
        assert local_counts(streams, batch_size, size) == (min(counts), max(counts))


@pytest.mark.parametrize(
    ("streams", "batch_size", "size", "message"),
    [
        (8, 64, 9, "more ranks than streams.*at least 9"),
        (6, 4, 4, "leave a rank without samples.*multiple of 4"),
        (8, 3, 4, "leave a rank without samples.*batch size at least 4"),
    ],
)
def test_a_plan_that_leaves_a_rank_without_samples_raises_an_error_with_a_remedy(
    streams: int, batch_size: int, size: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        local_batch_size(streams, batch_size, World(0, size))


@given(size=WORLDS, times=st.integers(1, 5), more=st.integers(0, 20))
def test_the_remedy_works(size: int, times: int, more: int) -> None:
    assert local_batch_size(size * times, size + more, World(0, size)) >= 1


@given(size=WORLDS, streams=st.integers(1, 64), batch_size=st.integers(1, 200))
def test_even_worlds_need_no_padding(size: int, streams: int, batch_size: int) -> None:
    even = even_world_size(size, streams, batch_size)
    assert 1 <= even <= size
    assert local_counts(streams, batch_size, even) == (batch_size // even, batch_size // even)
    larger = range(even + 1, size + 1)
    assert not any(streams % other == 0 and batch_size % other == 0 for other in larger)


def test_open_samples_of_all_ranks_do_not_depend_on_their_number() -> None:
    for size in range(1, 17):
        assert sum(open_samples(19, 2, 5, World(rank, size)) for rank in range(size)) == 19 * 2 * 5


def test_every_part_of_a_plan_matters() -> None:
    space = EpochSpace.of_counts(0, np.array([[60, 40]]), np.zeros(3, np.int64), 0)
    parts = (space, MANIFEST, VIEW, 0, 0, 4, 2, 5)
    others = (None, VIEW, None, 1, 1, 5, 1, 4)
    orders = [tuple(Plan(*parts).positions(np.arange(100)).tolist())]
    for i in range(1, len(parts)):
        changed = Plan(*parts[:i], others[i], *parts[i + 1 :])  # type: ignore[arg-type]
        orders.append(tuple(changed.positions(np.arange(100)).tolist()))
    assert len(set(orders)) == len(orders)


def test_golden_order() -> None:
    """The order of saved runs: if it changes, PLAN_VERSION must change. 23 positions: two blocks of 8, a tail of 7."""
    plan = Case([[ONE] * 15, [ONE] * 8], seed=42, epoch=1, streams=2, window=2, chunk=2).plan()
    assert plan.tail_start == 16
    assert plan.positions(np.arange(23)).tolist() == GOLDEN_ORDER


def test_an_epoch_of_billions_is_computed_at_any_turn() -> None:
    shards = 350_000
    space = EpochSpace.of_counts(0, np.full((1, shards), 10_001), np.zeros(shards + 1, np.int64), 0)
    plan = Plan(space, MANIFEST, VIEW, seed=0, epoch=0, streams=256, window=2, chunk=64)
    assert plan.num_turns == 3_500_350_000
    some = np.random.default_rng(0).choice(plan.num_turns, 20_000)
    positions = plan.positions(some)
    assert len(np.unique(positions)) == len(np.unique(some))
    assert positions.min() >= 0 and positions.max() < plan.num_turns
    assert np.bincount(positions * 16 // plan.num_turns, minlength=16).min() > 20_000 / 16 * 0.85  # spread everywhere
    block = plan.positions(np.arange(plan.block) + 1000 * plan.block)
    chunks, counts = np.unique(block // 64, return_counts=True)
    assert len(chunks) == 512 and set(counts.tolist()) == {64}


def test_an_empty_epoch() -> None:
    plan = Case([[1]], seed=0, epoch=0, streams=2, window=1, chunk=1).plan()
    assert plan.num_turns == 0
    assert list(plan.visits(0, World())) == []
    assert len(plan.local_turns(0, 8, World())) == 0
