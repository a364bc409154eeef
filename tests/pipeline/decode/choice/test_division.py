"""Tests the rule for who decodes: its choices at known figures, and that a division is a function of the number alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.decode.choice.division import (
    DIVISION_PERIOD,
    NEEDED,
    SPARE_CORES,
    Division,
    dali_rate,
    divide,
    divide_threads,
)
from tagmill.pipeline.decode.choice.pictures import TYPICAL_BYTES


@given(st.integers(0, DIVISION_PERIOD), st.integers(0, 10**9))
def test_dalis_batches_are_spread_evenly(dali: int, first: int) -> None:
    division = Division(dali)
    made = [division.is_dalis(first + number) for number in range(2 * DIVISION_PERIOD)]
    assert sum(made[:DIVISION_PERIOD]) == dali and made[:DIVISION_PERIOD] == made[DIVISION_PERIOD:]
    for length in range(1, DIVISION_PERIOD + 1):
        found = {sum(made[start : start + length]) for start in range(DIVISION_PERIOD)}
        assert max(found) - min(found) <= 1


@given(st.floats(0, 1))
def test_with_both_each_makes_some_batches(share: float) -> None:
    division = Division.of(share)
    assert 1 <= division.dali <= DIVISION_PERIOD - 1
    assert abs(division.dali - share * DIVISION_PERIOD) <= 1


@pytest.mark.parametrize(
    ("cores", "kilobytes", "dali"),
    [
        (14, 33, 0),  # 256 pixels on a node of 8 GPUs and 112 cores: the CPU has three times what a GPU uses
        (8, 33, 0),
        (4, 33, 0),  # neither keeps up; the CPU needs less processor time
        (14, 98, DIVISION_PERIOD),  # 500 pixels
        (4, 98, DIVISION_PERIOD),
        (28, 98, 0),
        (14, 307, 7),  # 1,024 pixels: DALI is limited by the GPU and leaves cores
        (28, 307, 6),
        (4, 307, DIVISION_PERIOD),  # no cores are left
    ],
)
def test_the_rule_at_known_figures(cores: int, kilobytes: int, dali: int) -> None:
    found = divide(cores, 1000.0 * kilobytes)
    assert found.dali == dali
    assert f"{cores} cores" in found.why and f"{kilobytes} kB" in found.why and f"{NEEDED:,}" in found.why


def test_a_division_names_who_decodes() -> None:
    assert [str(Division(dali)) for dali in (0, 7, 8)] == ["CPU", "both, DALI 7 of 8 batches", "DALI"]


def test_pillow_takes_twice_as_long() -> None:
    cores = int(NEEDED * 0.3 / 1000 / SPARE_CORES) + 1
    assert divide(cores, TYPICAL_BYTES).dali == 0
    by_pillow, by_libjpeg = (divide(cores, TYPICAL_BYTES, is_compiled=compiled).why for compiled in (False, True))
    assert "CPU 4,000" in by_pillow and "CPU 8,000" in by_libjpeg


@given(st.integers(1, 256), st.floats(100, 1e8))
def test_more_cores_never_mean_that_a_gpu_waits_more(cores: int, mean_bytes: float) -> None:
    """Once the CPU keeps up it keeps up with more cores; and the choice is defined for any size."""
    division, more = divide(cores, mean_bytes), divide(cores + 1, mean_bytes)
    assert 0 <= division.dali <= DIVISION_PERIOD
    if SPARE_CORES * cores * 1000 / (0.3 * mean_bytes / TYPICAL_BYTES) >= NEEDED:
        assert division.dali == more.dali == 0


@given(st.floats(100, 1e8), st.floats(1, 10))
def test_larger_images_never_take_dali_less_time(mean_bytes: float, factor: float) -> None:
    assert dali_rate(mean_bytes * factor) <= dali_rate(mean_bytes)
    assert dali_rate(TYPICAL_BYTES) == pytest.approx(18_300) and dali_rate(307_000) == pytest.approx(6_239)


@given(st.integers(1, 64), st.integers(1, DIVISION_PERIOD - 1), st.floats(1000, 1e7))
def test_both_together_have_the_threads_of_the_rank(threads: int, dali: int, mean_bytes: float) -> None:
    helping, decoding = divide_threads(threads, Division(dali), mean_bytes)
    assert helping >= 1 and decoding >= 1 and helping + decoding == max(2, threads)
