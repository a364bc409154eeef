"""Tests medians and spreads of rounds."""

import pytest

from tagmill.pipeline.bench.rates import MeasuredRate, MeasuredRound


def rate(*rates: int, name: str = "it") -> MeasuredRate:
    return MeasuredRate.of(name, [MeasuredRound(2 * each, 200 * each, 2.0, 0.5) for each in rates])


def test_medians_of_rounds() -> None:
    found = rate(100, 90, 104)
    assert (found.images_per_second, found.slowest, found.fastest) == (100, 90, 104)
    assert found.bytes_per_second == 10_000 and found.cpu_ms == pytest.approx(2.5)
    assert found.spread == pytest.approx(0.14) and not found.is_noisy
    assert rate(100, 79, 101).is_noisy


def test_above_is_in_every_round() -> None:
    assert rate(100, 90).is_above(rate(80, 89))
    assert not rate(100, 90).is_above(rate(80, 90))
