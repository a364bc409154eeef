"""Tests where a process is: its places rise, and its seconds are those of its phases."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from tagmill.training.parallel.progress import END, PHASES, START, Phase, Position, Progress


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 8), st.integers(0, 9)), min_size=1, unique=True),
    st.lists(st.integers(1, 50), min_size=100, max_size=100),
)
def test_later_places_are_higher_and_the_seconds_are_all_accounted_for(
    changes: list[tuple[int, int, int]], seconds: list[int]
) -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    places = [progress.read()[0]]
    for (step, order, item), passed in zip(sorted(changes), seconds, strict=False):
        now[0] += passed
        progress.at(get_args(Phase)[order], step, item)
        places.append(progress.read()[0])
    assert places[0] == START and places == sorted(places) and len(set(places)) == len(places) and places[-1] < END
    assert sum(progress.seconds().values()) == now[0] and progress.read()[1] == 0
    assert progress.begun == (places[-1].step > places[1].step)


def test_the_present_phase_counts_since_its_beginning() -> None:
    now = [5.0]
    progress = Progress(lambda: now[0])
    progress.at("loading", 7)
    now[0] = 9.0
    assert progress.read() == (Position(7, PHASES.index("loading")), 4.0) and progress.read()[0].phase == "loading"
    progress.at("forward", 7)
    assert progress.seconds() == {"starting": 0, "loading": 4} and not progress.begun


def test_what_ends_a_step_is_followed_by_what_begins_the_next() -> None:
    progress, places = Progress(), []
    for phase, step in (("backward", 3), ("optimiser", 3), ("agreement", 4), ("log", 4), ("saving", 4), ("loading", 4)):
        progress.at(phase, step)  # type: ignore[arg-type]
        places.append(progress.read()[0])
    assert places == sorted(places) and progress.begun
