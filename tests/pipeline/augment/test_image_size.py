"""Tests the side of each batch's images: its values, their distribution, and the growth over epochs."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.augment import draws
from tagmill.pipeline.augment.image_size import side_of
from tagmill.pipeline.sizes import ProgressiveSize, VariedSize

VARIED = VariedSize(128, 320, 32)
EPOCHS = st.floats(1e-6, 1e6)


def test_one_size_is_that_of_every_batch() -> None:
    assert {side_of(224, 1, (epoch, turn), 0.5) for epoch in range(3) for turn in range(0, 64, 16)} == {224}


def test_golden_values_do_not_move() -> None:
    found = [side_of(VARIED, 7, (epoch, turn), 0.0) for epoch in (0, 1) for turn in range(0, 6 * 256, 256)]
    assert found == [160, 224, 192, 160, 160, 224, 224, 160, 256, 320, 128, 320]


def test_all_sides_are_equally_likely_whatever_came_before() -> None:
    """Within five deviations of the mean, for the sides of batches and for pairs of neighbours."""
    sides, count = VARIED.sides, 7 * 7 * 80
    found = [side_of(VARIED, 3, (turn // 2048, turn % 2048 * 256), 0.0) for turn in range(count)]
    for kinds, seen in ((len(sides), Counter(found)), (len(sides) ** 2, Counter(pairwise(found)))):
        mean = count / kinds
        assert len(seen) == kinds and all(abs(number - mean) < 5 * mean**0.5 for number in seen.values())


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**31), st.integers(0, 2**62), st.floats(0, 1e6))
def test_the_size_of_a_batch_depends_on_seed_and_place_alone(seed: int, epoch: int, turn: int, progress: float) -> None:
    side = side_of(VARIED, seed, (epoch, turn), progress)
    assert side in VARIED.sides and side == side_of(VariedSize(128, 320), seed, (epoch, turn), 0.0)


def test_epochs_turns_and_seeds_have_draws_of_their_own() -> None:
    places = [(seed, (epoch, turn)) for seed in range(8) for epoch in range(8) for turn in range(8)]
    found = {(seed, *place): side_of(VariedSize(1, 65_535, 1), seed, place, 0.0) for seed, place in places}
    assert len(set(found.values())) > 500  # of 512; a few may be equal by chance


def test_sizes_are_drawn_with_a_purpose_of_their_own() -> None:
    others = [draws.CROP, draws.FLIP, draws.JITTER, draws.RANDAUGMENT, draws.MIXUP]
    assert draws.SIZE not in others and len(set(others)) == 5


@given(st.integers(1, 500), st.integers(1, 30), st.integers(1, 64), EPOCHS, st.lists(st.floats(0, 2), min_size=2))
def test_a_size_grows_from_the_first_to_the_last(
    low: int, steps: int, step: int, epochs: float, at: list[float]
) -> None:
    size = ProgressiveSize(low, low + steps * step, epochs, step)
    found = [side_of(size, 0, (0, 0), share * epochs) for share in (0.0, *sorted(at), 1.0, 1e9)]
    assert found[0] == low and found[-2:] == [size.last] * 2
    assert all(here <= after for here, after in pairwise(found[:-2])) and set(found) <= {*size.sides}


def test_each_side_has_an_equal_part_of_the_epochs() -> None:
    size = ProgressiveSize(128, 224, epochs=8)
    assert [side_of(size, 0, (epoch, 0), epoch) for epoch in range(10)] == [128] * 2 + [160] * 2 + [192] * 2 + [224] * 4
    assert [side_of(ProgressiveSize(128, 224, 1), 0, (0, 0), part / 8) for part in range(8)] == [
        side for side in (128, 160, 192, 224) for _ in range(2)
    ]
    assert side_of(ProgressiveSize(128, 224, 5e-324), 0, (0, 0), 0.0) == 128  # epochs so few that a ratio overflows
    assert side_of(ProgressiveSize(128, 224, 5e-324), 0, (0, 1), 1e300) == 224
