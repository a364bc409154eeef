"""Tests the sums over steps: nothing is lost, memory is bounded, and the interval holds the true share as often as it says."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.headroom.step_times import LEAST_BLOCKS, MOST_BLOCKS, StepTimes

SECONDS = st.floats(0, 1e4, allow_subnormal=False)


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=300))
def test_sums_are_those_of_all_steps(steps: list[tuple[float, float]]) -> None:
    times = StepTimes()
    for waited, worked in steps:
        times.add(waited, worked)
    assert times.steps == len(steps)
    assert times.waited == pytest.approx(sum(waited for waited, _ in steps))
    assert times.seconds == pytest.approx(sum(waited + worked for waited, worked in steps))
    found = times.waited_share()
    assert 0 <= found.share <= 1 + 1e-12
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.share + 1e-12 and found.share <= found.high + 1e-12


def test_memory_is_bounded() -> None:
    times = StepTimes()
    for number in range(50_000):
        times.add(0.5 * (number % 2), 1)
        assert len(times._blocks) < MOST_BLOCKS
    assert times.late == 25_000 and times.waited == pytest.approx(12_500)


def test_few_steps_have_no_interval_and_equal_ones_a_point() -> None:
    times = StepTimes()
    assert times.waited_share().share == 0
    for _ in range(LEAST_BLOCKS - 1):
        times.add(1, 3)
    assert times.waited_share().low is None
    times.add(1, 3)
    found = times.waited_share()
    assert (found.share, found.low, found.high) == (0.25, pytest.approx(0.25), pytest.approx(0.25))


def covered(draw: random.Random, burst: int) -> bool:
    """Whether the interval of a loop whose batches are late in bursts, a fifth of the time on average, holds that."""
    times = StepTimes()
    for _ in range(600 // burst):
        late = draw.random() < 0.25
        for _ in range(burst):
            times.add(1.0 if late else 0.0, 1.0)
    found = times.waited_share()
    assert found.low is not None and found.high is not None
    return found.low <= 0.2 <= found.high


@pytest.mark.parametrize("burst", [1, 5])
def test_the_interval_holds_the_true_share(burst: int) -> None:
    draw = random.Random(burst)
    assert sum(covered(draw, burst) for _ in range(200)) >= 178  # 95 % of 200 is 190, three standard deviations 9
