"""Tests what a report says, and that it names a rank only if that one is slow."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.headroom.report import HeadroomReport, speedup_of
from tagmill.pipeline.headroom.step_times import StepTimes


def report_of(rank: int, waited: float, worked: float = 1.0, steps: int = 20) -> HeadroomReport:
    times = StepTimes()
    for _ in range(steps):
        times.add(waited, worked)
    return HeadroomReport.of(times, rank)


def test_the_sentence_of_one_rank() -> None:
    text = str(report_of(0, 0.25))
    assert text == (
        "without waits for batches this loop would be 1.25 times as fast (95 % interval 1.25 times to 1.25 times): in "
        "20 steps it waited 20.0% of the time, and 20 batches were not ready"
    )
    assert "too few steps" in str(report_of(0, 0.25, steps=3))


def test_a_loop_that_only_waits() -> None:
    found = report_of(0, 1.0, worked=0.0)
    assert found.speedup == math.inf and "without limit" in str(found)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["speedup"] is None


def test_the_slow_rank_is_named() -> None:
    found = HeadroomReport.of_ranks([report_of(rank, 0.5 if rank == 5 else 0.01) for rank in range(8)])
    slow = found.slow_rank()
    assert slow is not None and slow.rank == 5 and found.speedup == pytest.approx(1.5)
    assert [one.rank for one in found.ranks] == list(range(8)) and "rank 5 on" in str(found)


@pytest.mark.parametrize("waits", [(0.5, 0.5, 0.4), (0.001, 0.0, 0.015), (0.0, 0.0)])
def test_ranks_that_wait_alike_are_not_named(waits: tuple[float, ...]) -> None:
    found = HeadroomReport.of_ranks([report_of(rank, waited) for rank, waited in enumerate(waits)])
    assert found.slow_rank() is None and f"{len(waits)} ranks wait alike" in str(found)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20))
def test_the_figures_of_all_are_those_of_the_rank_that_waits_longest(waits: list[float]) -> None:
    found = HeadroomReport.of_ranks([report_of(rank, waited) for rank, waited in enumerate(waits)])
    assert found.speedup == pytest.approx(1 + max(waits))
    assert speedup_of(0) == 1
