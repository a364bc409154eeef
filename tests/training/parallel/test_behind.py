"""Tests who is named: the process that the others wait for, and not before it has had its time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.training.parallel.behind import FIRST, Beat, Verdict, judge
from tagmill.training.parallel.progress import END, PHASES, START, Phase, Position

places = st.builds(Position, st.integers(-1, 9), st.integers(0, len(PHASES) - 2), st.integers(0, 5))
names = st.text(st.characters(codec="utf-8"), max_size=9)


def at(phase: Phase, step: int, item: int = 0) -> Position:
    return Position(step, PHASES.index(phase), item)


def beat(rank: int, place: Position, seconds: float = 100.0, begun: bool = True) -> Beat:
    return Beat(rank, "node", rank % 8, 1000 + rank, 5, place, seconds, begun)


@given(st.builds(Beat, *[st.integers(0, 9)], names, *[st.integers(0, 9)] * 3, places, st.floats(0, 1e9), st.booleans()))
def test_a_beat_is_read_as_it_was_written(said: Beat) -> None:
    assert Beat.of(said.text()) == said
    verdict = Verdict((said.rank, 7), said.name())
    assert Verdict.of(verdict.text()) == verdict


@given(st.lists(places, min_size=1, max_size=20))
def test_the_lowest_places_are_named(found: list[Position]) -> None:
    beats = [beat(rank, place) for rank, place in enumerate(found)]
    verdict = judge(beats, dict.fromkeys(range(len(found)), 0.0), limit=100, silent=10)
    lowest = min(found)
    assert verdict and verdict.ranks == tuple(rank for rank, place in enumerate(found) if place == lowest)


def test_none_is_named_while_the_one_behind_makes_progress() -> None:
    """The others have waited for long; it evaluates one batch after the other."""
    waiting = [beat(rank, at("evaluation", 90, 40), seconds=5000) for rank in (0, 2)]
    slow = beat(1, at("evaluation", 90, 12), seconds=3)
    assert judge([*waiting, slow], {0: 0, 1: 0, 2: 0}, limit=10, silent=5) is None
    late = judge([*waiting, beat(1, slow.place, seconds=11)], {0: 0, 1: 0, 2: 0}, limit=10, silent=5)
    assert late and late.ranks == (1,)
    assert (
        late.line
        == "rank 1 (host node, local rank 1, process 1001) has been in evaluation of step 91 for 11 s (2 waiting)"
    )


def test_a_silent_process_is_named_wherever_it_was() -> None:
    """It was stopped in the collective in which the others wait for it, or further than the others."""
    beats = [beat(0, at("backward", 4)), beat(1, at("log", 4), seconds=1)]
    verdict = judge(beats, {0: 0, 1: 99.5}, limit=100, silent=20)
    assert verdict and verdict.ranks == (1,)
    assert "has said nothing for 100 s, last in log of step 5 (1 waiting)" in verdict.line
    assert judge(beats, {0: 0, 1: 98.5}, limit=100, silent=20) is None


@pytest.mark.parametrize(
    ("begun", "seconds", "named"), [(True, 99, 0), (True, 100, 1), (False, 299, 0), (False, 300, 1)]
)
def test_the_first_step_may_take_longer(begun: bool, seconds: float, named: int) -> None:
    beats = [beat(0, at("backward", 0), 5000), beat(1, START, seconds, begun)]
    verdict = judge(beats, {0: 0, 1: 0}, limit=100, silent=20)
    assert FIRST == 3 and (verdict is not None) == bool(named)
    assert verdict is None or "in the start, before its first step for" in verdict.line


def test_processes_that_have_ended_are_not_behind() -> None:
    beats = [beat(0, END, 900), beat(1, at("evaluation", 4, 0))]
    verdict = judge(beats, {0: 900, 1: 0}, limit=100, silent=20)
    assert verdict and verdict.ranks == (1,) and "waiting" not in verdict.line
    assert judge([beats[0]], {0: 900}, limit=100, silent=20) is None


def test_a_line_names_some_of_very_many() -> None:
    beats = [beat(rank, at("backward", 3)) for rank in range(300)]
    verdict = judge(beats, dict.fromkeys(range(300), 0.0), limit=100, silent=20)
    assert verdict and len(verdict.ranks) == 300 and verdict.line.count("host") == 8
    assert verdict.line.endswith("; 292 more")
