"""Tests the order of a mixture: the pattern, each corpus's own epochs, ranks, memory, resuming."""

from collections import Counter, deque
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tagmill.pipeline.config import World
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.mixture import (
    PERIOD,
    MixedSchedule,
    Mixture,
    MixturePart,
    OwnEpochs,
    Pattern,
    even_mixed_size,
    mixed_batch_size,
    mixed_counts,
)
from tagmill.pipeline.order.plan import local_counts, open_samples
from tagmill.pipeline.order.schedule import Step
from tagmill.shards.errors import ConfigError
from tests.pipeline.brute_order import CASES, ONE, VIEW, Case

WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
Place = tuple[int, int, int]  # corpus, own epoch, position


def digest(source: int) -> bytes:
    return bytes([source]) * 32


@st.composite
def mixtures(draw: st.DrawFn) -> MixedSchedule:
    """Generates corpora of at least one sample an epoch on average."""
    weights = draw(WEIGHTS)
    cases = [draw(CASES) for _ in weights]
    assume(all(sum(map(sum, case.repeats)) >= ONE for case in cases))
    parts = tuple(MixturePart(case.space(), digest(source), VIEW) for source, case in enumerate(cases))
    numbers = [draw(st.integers(1, most)) for most in (8, 3, 5, 16)]
    return MixedSchedule(Pattern(weights), parts, draw(st.integers(0, 2**63 - 1)), *numbers, World())


def of_rank(mixture: MixedSchedule, rank: int, size: int) -> MixedSchedule:
    return replace(mixture, world=World(rank, size))


def places(step: Step) -> list[Place]:
    assert step.sources is not None
    return list(zip(step.sources.tolist(), np.asarray(step.epoch).tolist(), step.positions.tolist(), strict=True))


def spelled_out(mixture: MixedSchedule, num_turns: int) -> list[Place]:
    """Returns (corpus, own epoch, position) at each turn from turn 0, by direct enumeration: the orders of each
    corpus's epochs, interleaved by the pattern."""

    def walk(source: int) -> deque[Place]:
        found, epoch = deque[Place](), 0
        while len(found) < num_turns:
            plan = mixture.plan(source, epoch)
            found += [(source, epoch, p) for p in plan.positions(np.arange(plan.num_turns)).tolist()]
            epoch += 1
        return found

    piles = [walk(source) for source in range(len(mixture.parts))]
    entries = mixture.pattern.entries.tolist()
    return [piles[entries[turn % len(entries)]].popleft() for turn in range(num_turns)]


@pytest.mark.parametrize(
    ("weights", "entries"),
    [
        ((1,), "0"),
        ((1, 1), "01"),
        ((3, 1), "0010"),
        ((1, 3), "1011"),
        ((5, 2, 1), "01002010"),
        ((7, 3), "0100010010"),
        ((2, 2, 3), "2012012"),
    ],
)
def test_golden_patterns(weights: tuple[int, ...], entries: str) -> None:
    """The pattern defines the meaning of saved turns: if it changes, PLAN_VERSION must change."""
    assert "".join(map(str, Pattern(weights).entries.tolist())) == entries


@given(weights=WEIGHTS, start=st.integers(0, 10**12), times=st.integers(1, 3))
def test_any_cycle_has_exactly_the_weights_and_any_interval_nearly(
    weights: tuple[int, ...], start: int, times: int
) -> None:
    pattern = Pattern(weights)
    size, corpora = sum(weights), len(weights)
    sources, _ = pattern.own_turns(np.arange(start, start + times * size))
    assert np.bincount(sources, minlength=corpora).tolist() == [times * weight for weight in weights]
    for turn in range(size):
        for source, weight in enumerate(weights):
            share = turn * weight / size
            assert abs(pattern.own_before(source, turn) - share) <= (1 + corpora * weight / size) / 2
    doubled = Pattern(tuple(times * weight for weight in weights))
    assert doubled.entries.tolist() == times * pattern.entries.tolist()


@given(weights=WEIGHTS, start=st.integers(0, 10**12))
def test_own_turns_count_through_a_corpus(weights: tuple[int, ...], start: int) -> None:
    pattern = Pattern(weights)
    turns = np.arange(start, start + 50)
    sources, own = pattern.own_turns(turns)
    before = [pattern.own_before(source, start) for source in range(len(weights))]
    assert sum(before) == start
    for turn, source, number in zip(turns.tolist(), sources.tolist(), own.tolist(), strict=True):
        assert source == pattern.entries[turn % sum(weights)]
        assert number == before[source] == pattern.own_before(source, turn)
        assert pattern.turn_of(source, number) == turn
        before[source] += 1


def test_the_largest_pattern() -> None:
    weights = (60_000, 5_000, 500, 36)
    entries = Pattern(weights).entries
    assert np.bincount(entries).tolist() == list(weights)
    for source, weight in enumerate(weights):
        gaps = np.diff(np.flatnonzero(entries == source))
        assert gaps.max() <= 65_536 / weight + 4


@settings(max_examples=50, deadline=None)
@given(case=CASES, data=st.data())
def test_own_epochs_are_found_in_constant_time(case: Case, data: st.DataObject) -> None:
    assume(sum(map(sum, case.repeats)))
    space = case.space()
    epochs = OwnEpochs(space)
    running = np.cumsum([0, *(space.num_positions(epoch) for epoch in range(60))])
    assert [epochs.start(epoch) for epoch in range(61)] == running.tolist()
    wanted = np.repeat(np.arange(60), np.diff(running))
    assert epochs.at(np.arange(len(wanted))).tolist() == wanted.tolist()
    far = data.draw(st.integers(0, 10 * PERIOD))
    while not space.num_positions(far):
        far += 1
    assert epochs.start(far + 1) - epochs.start(far) == space.num_positions(far)
    assert epochs.at(np.array([epochs.start(far), epochs.start(far + 1) - 1])).tolist() == [far, far]


@settings(max_examples=40, deadline=None)
@given(mixture=mixtures(), size=st.integers(1, 16), num_steps=st.integers(1, 6))
def test_ranks_share_every_batch_of_the_enumerated_order(mixture: MixedSchedule, size: int, num_steps: int) -> None:
    """For any number of ranks up to T; so each corpus's own epoch is a permutation, as each of its plans is."""
    size, batch = min(size, mixture.streams), mixture.batch_size
    order = spelled_out(mixture, num_steps * batch)
    ranks = [list(islice(of_rank(mixture, rank, size).steps(0, 0), num_steps)) for rank in range(size)]
    for number, parts in enumerate(zip(*ranks, strict=True)):
        wanted = order[number * batch : (number + 1) * batch]
        assert Counter(place for part in parts for place in places(part)) == Counter(wanted)
        for part in parts:
            assert part.after == (0, (number + 1) * batch)
            mine = set(places(part))
            assert places(part) == [place for place in wanted if place in mine]  # in the order of their turns
    for source, part in enumerate(mixture.parts):
        seen = [(epoch, position) for whose, epoch, position in order if whose == source]
        for epoch in range(mixture.own_epochs(len(order))[source]):  # past epochs
            found = [position for own, position in seen if own == epoch]
            assert sorted(found) == list(range(part.space.num_positions(epoch)))


@settings(max_examples=40, deadline=None)
@given(mixture=mixtures(), size=st.integers(1, 8))
def test_progress_counts_the_epochs_of_the_first_corpus(mixture: MixedSchedule, size: int) -> None:
    last_rank = of_rank(mixture, size - 1, size)
    space, epoch, left = mixture.parts[0].space, 0, mixture.parts[0].space.num_positions(0)
    for step, other in islice(zip(mixture.steps(0, 0), last_rank.steps(0, 0), strict=False), 8):
        while left <= 0:
            epoch += 1
            left += space.num_positions(epoch)
        length = space.num_positions(epoch)
        assert step.begin == other.begin and step.progress == other.progress == epoch + (length - left) / length
        assert step.sources is not None
        left -= int((step.sources == 0).sum())


@given(mixture=mixtures(), size=st.integers(1, 8))
def test_a_stream_of_an_epoch_has_one_rank(mixture: MixedSchedule, size: int) -> None:
    """Otherwise two ranks would read the same chunks."""
    for epoch in range(4):
        plan = mixture.plan(0, epoch)
        turns = np.arange(plan.num_turns)
        owners = plan.owner(turns, size)
        pairs = set(zip((turns % mixture.streams).tolist(), owners.tolist(), strict=True))
        assert len({stream for stream, _ in pairs}) == len(pairs)
        assert owners.tolist() == ((turns + plan.offset) % mixture.streams % size).tolist()


@settings(max_examples=50, deadline=None)
@given(mixture=mixtures(), size=st.integers(1, 6), start=st.integers(0, 400))
def test_visits_contain_the_rest_and_never_exceed_the_capacity(mixture: MixedSchedule, size: int, start: int) -> None:
    """A reader that opens each visit in order, as soon as its own corpus has capacity, always has the next turn: the
    bound is one corpus's windows for each corpus."""
    size = min(size, mixture.streams)
    for rank in range(size):
        mine = of_rank(mixture, rank, size)
        windows = open_samples(mine.streams, mine.window, mine.chunk, mine.world)
        rooms = [windows] * len(mine.parts)
        visits = mine.visits(0, start)
        held, coming = set[Place](), next(visits)
        for step in islice(mine.steps(0, start), 12):
            for place in places(step):
                while len(coming[1].positions) <= rooms[coming[1].source]:
                    epoch, visit = coming
                    opened = {(visit.source, epoch, position) for position in visit.positions.tolist()}
                    assert not opened & held and len(opened) == len(visit.positions)
                    held |= opened
                    rooms[visit.source] -= len(opened)
                    coming = next(visits)
                assert place in held
                held.remove(place)
                rooms[place[0]] += 1


@settings(max_examples=40, deadline=None)
@given(mixture=mixtures(), sizes=st.lists(st.integers(1, 16), min_size=1, max_size=4), data=st.data())
def test_another_world_resumes_exactly(mixture: MixedSchedule, sizes: list[int], data: st.DataObject) -> None:
    wanted = [sorted(places(step)) for step in islice(mixture.steps(0, 0), 14)]
    found: list[list[Place]] = []
    state = (0, 0)
    while len(found) < len(wanted):
        size = min(data.draw(st.sampled_from(sizes)), mixture.streams)
        num_steps = min(data.draw(st.integers(1, 4)), len(wanted) - len(found))
        ranks = [list(islice(of_rank(mixture, rank, size).steps(*state), num_steps)) for rank in range(size)]
        for parts in zip(*ranks, strict=True):
            found.append(sorted(place for part in parts for place in places(part)))
            state = parts[0].after
    assert found == wanted


@settings(max_examples=100, deadline=None)
@given(
    weights=WEIGHTS, streams=st.integers(1, 8), batch_size=st.integers(1, 40), size=st.integers(1, 8), data=st.data()
)
def test_the_local_batch_size_holds_for_every_offset(
    weights: tuple[int, ...], streams: int, batch_size: int, size: int, data: st.DataObject
) -> None:
    pattern = Pattern(weights)
    size = min(size, streams)
    least, most = mixed_counts(pattern, streams, batch_size, size)
    period = pattern.size * streams  # after which own turns repeat modulo T
    offset = data.draw(st.integers(0, 10**9))
    _, own = pattern.own_turns(np.arange(offset, offset + period + batch_size))
    for rank in range(size):
        running = np.concatenate([[0], np.cumsum(own % streams % size == rank)])
        parts = running[batch_size:] - running[:-batch_size]
        assert least <= parts.min() and parts.max() <= most
    even = even_mixed_size(pattern, streams, batch_size, size)
    assert mixed_counts(pattern, streams, batch_size, even) == (batch_size // even, batch_size // even)
    if len(weights) == 1:
        assert (least, most) == local_counts(streams, batch_size, size)
    if least == 0:
        with pytest.raises(ConfigError, match="leave a rank without samples"):
            mixed_batch_size(pattern, streams, batch_size, World(0, size))


def test_shares_that_fill_all_streams_need_no_padding() -> None:
    assert mixed_batch_size(Pattern((3, 1)), 64, 256, World(0, 16)) == 16
    assert mixed_batch_size(Pattern((3, 1)), 64, 256, World(0, 64)) == 4
    assert even_mixed_size(Pattern((3, 1)), 64, 256, 60) == 32
    with pytest.raises(ConfigError, match=r"more ranks than streams.*at least 65"):
        mixed_batch_size(Pattern((3, 1)), 64, 256, World(0, 65))


@pytest.mark.parametrize("weights", [(), (0, 1), (2, -1), (1.5, 1), (True, 1), (65_536, 1)])
def test_invalid_weights_raise_an_error(weights: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="weights"):
        Mixture(*[(f"corpus{number}", weight) for number, weight in enumerate(weights)])
    assert Mixture((Path("a"), 65_535), ("b", 1)).weights == (65_535, 1)


def test_billions_of_samples_resume_at_once() -> None:
    """Three billion samples and a thousand, 336 ranks, a turn that is years away: found in constant time."""
    large = EpochSpace.of_counts(0, np.full((1, 350_000), 10_001), np.zeros(350_001, np.int64), 0)
    small = EpochSpace.of_counts(0, np.array([[1000]]), np.array([0, 12_345]), 7)
    parts = (MixturePart(large, digest(0), VIEW), MixturePart(small, digest(1), VIEW))
    mixture = MixedSchedule(Pattern((7, 1)), parts, 0, 2688, 2, 64, 32_768, World(335, 336))
    turn = 32_768 * 10**8
    step = next(mixture.steps(0, turn))
    assert step.sources is not None and len(step.positions) <= mixed_batch_size(
        mixture.pattern, 2688, 32_768, mixture.world
    )
    before, after = mixture.own_epochs(turn), mixture.own_epochs(turn + 32_768)
    assert before[0] == turn * 7 // 8 // 3_500_350_000
    for source in (0, 1):
        epochs = np.asarray(step.epoch)[step.sources == source]
        assert before[source] <= epochs.min() and epochs.max() <= after[source]
    _, visit = next(mixture.visits(0, turn))
    assert np.isin(visit.positions, step.positions[step.sources == visit.source]).any()
