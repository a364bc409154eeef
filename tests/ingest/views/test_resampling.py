"""Resampling: the formula against whole-number definitions, exact totals and epoch sizes, and the largest t."""

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.views.resampling import ResampleKind, Solved, rarest_of, repeat_of, solve
from tagmill.shards.arrays import Int64s
from tagmill.shards.errors import ConfigError
from tagmill.shards.view import ONE, extra_offset

KINDS: list[ResampleKind] = ["sqrt", "uniform"]
IMAGES = 3_500_000_000
KIND = st.sampled_from(KINDS)
FREQUENCY = st.integers(0, 50) | st.integers(0, IMAGES)
MAX_REPEAT = st.integers(1, 64) | st.sampled_from([1, 2, 64, 1 << 15])


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    """Images as lists of labels, and how many labels there are."""
    num_labels = draw(st.integers(1, 6))
    label = st.integers(0, draw(st.integers(0, num_labels - 1)))
    images = draw(st.lists(st.lists(label, max_size=3, unique=True).map(sorted), min_size=1, max_size=40))
    return images, num_labels


def counted(images: list[list[int]], num_labels: int) -> tuple[Int64s, Int64s, Int64s]:
    """Frequencies [L], the rarest label of each image [n] by the rule in words, and counts of the rarest [L]."""
    frequencies = np.bincount([label for labels in images for label in labels], minlength=num_labels)
    rarest = [min(labels, key=lambda label: (frequencies[label], -label), default=-1) for labels in images]
    counts = np.bincount([label for label in rarest if label >= 0], minlength=num_labels)
    return frequencies.astype(np.int64), np.array(rarest, np.int64), counts.astype(np.int64)


def padded(images: list[list[int]], width: int) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    rows = np.full((len(images), width), -1, np.int32)
    for row, labels in zip(rows, images, strict=True):
        row[: len(labels)] = labels
    return rows


def is_floor(repeat: int, images: int, kind: ResampleKind, t: float, max_repeat: int) -> bool:
    """Whether `repeat` is the largest whole number r of 2^-16 with r / 2^16 <= phi(t / f), inside 1 and max_repeat."""

    def fits(units: int) -> bool:
        share = Fraction(units, ONE)
        return (share**2 if kind == "sqrt" else share) * images <= Fraction(t)

    return (repeat == ONE or fits(repeat)) and (repeat == max_repeat * ONE or not fits(repeat + 1))


@given(KIND, st.lists(FREQUENCY, max_size=8), st.floats(0, 1e18), MAX_REPEAT, st.data())
def test_a_repeat_is_the_exact_floor(
    kind: ResampleKind, frequencies: list[int], t: float, max_repeat: int, data: st.DataObject
) -> None:
    if data.draw(st.booleans()) and any(frequencies):  # at the very places where a repeat steps, and beside them
        near = Fraction(data.draw(st.integers(ONE, max_repeat * ONE)), ONE)
        edge = float((near**2 if kind == "sqrt" else near) * max(frequencies))
        t = data.draw(st.sampled_from([edge, math.nextafter(edge, 0), math.nextafter(edge, math.inf)]))
    repeats = repeat_of(np.array(frequencies, np.int64), kind, t, max_repeat)
    assert repeats.dtype == np.int64
    for images, repeat in zip(frequencies, repeats.tolist(), strict=True):
        if images:
            assert ONE <= repeat <= max_repeat * ONE and is_floor(repeat, images, kind, t, max_repeat)
        else:
            assert repeat == 0


def test_repeats_in_numbers() -> None:
    frequencies = np.array([1_000_000, 10_000, 100, 0])
    assert repeat_of(frequencies, "natural", 1e6, 64).tolist() == [ONE, ONE, ONE, 0]
    assert repeat_of(frequencies, "sqrt", 40_000.0, 64).tolist() == [ONE, 2 * ONE, 20 * ONE, 0]
    assert repeat_of(frequencies, "uniform", 40_000.0, 64).tolist() == [ONE, 4 * ONE, 64 * ONE, 0]
    assert repeat_of(np.array([3, 2]), "uniform", 4.0, 64).tolist() == [ONE * 4 // 3, 2 * ONE]
    assert repeat_of(np.array([1]), "sqrt", 2.0, 64).tolist() == [math.isqrt(2 << 32)]
    assert repeat_of(np.array([2]), "uniform", 2 * 64.5, 64).tolist() == [64 * ONE]
    assert repeat_of(np.array([2]), "sqrt", 2 * 4096.5, 64).tolist() == [64 * ONE]


def test_a_repeat_just_below_a_step_that_floats_do_not_tell_from_it() -> None:
    """2^32 t / f below the square of a whole number by less than a float64 of that size can tell."""
    images = (1 << 32) - 5
    for root in range((1 << 28) + 1, (1 << 28) + 200):
        edge = float(Fraction(root**2 * images, 1 << 32))
        for t in (math.nextafter(edge, 0), edge, math.nextafter(edge, math.inf)):
            (repeat,) = repeat_of(np.array([images]), "sqrt", t, 1 << 15).tolist()
            assert is_floor(repeat, images, "sqrt", t, 1 << 15)


@given(KIND, st.lists(FREQUENCY, max_size=8), st.floats(0, 1e13), st.floats(0, 1e13), MAX_REPEAT)
def test_no_repeat_falls_while_t_grows(
    kind: ResampleKind, frequencies: list[int], one: float, two: float, most: int
) -> None:
    lower, higher = (repeat_of(np.array(frequencies, np.int64), kind, t, most) for t in sorted((one, two)))
    assert (lower <= higher).all()


@given(corpora(), st.integers(3, 5))
def test_the_rarest_label(corpus: tuple[list[list[int]], int], width: int) -> None:
    images, num_labels = corpus
    frequencies, rarest, _ = counted(images, num_labels)
    found = rarest_of(padded(images, width), frequencies)
    assert found.dtype == np.int32 and found.tolist() == rarest.tolist()


def test_the_rarest_label_of_no_images() -> None:
    assert rarest_of(np.empty((0, 3), np.int32), np.array([1, 2])).shape == (0,)
    assert rarest_of(np.full((2, 3), -1, np.int32), np.empty(0, np.int64)).tolist() == [-1, -1]
    assert rarest_of(np.empty((2, 0), np.int32), np.array([1, 2])).tolist() == [-1, -1]


@given(corpora(), KIND, st.floats(0, 200), st.integers(1, 64))
def test_the_rarest_label_gives_the_largest_repeat(
    corpus: tuple[list[list[int]], int], kind: ResampleKind, t: float, max_repeat: int
) -> None:
    images, num_labels = corpus
    frequencies, _, _ = counted(images, num_labels)
    of_label = repeat_of(frequencies, kind, t, max_repeat)
    rarest = rarest_of(padded(images, 3), frequencies)
    for labels, label in zip(images, rarest.tolist(), strict=True):
        assert not labels or of_label[label] == max(of_label[each] for each in labels)


def check(
    solved: Solved, frequencies: Int64s, counts: Int64s, kind: ResampleKind, wanted: int, max_repeat: int
) -> None:
    """The total is exact and not above what is wanted; with the next t it is, or nothing more can be repeated."""

    def total(t: float) -> int:
        repeats = repeat_of(frequencies, kind, t, max_repeat).tolist()
        return sum(repeat * count for repeat, count in zip(repeats, counts.tolist(), strict=True))

    assert solved.repeats.tolist() == repeat_of(frequencies, kind, solved.t, max_repeat).tolist()
    assert solved.total == total(solved.t) <= wanted * ONE
    assert solved.reached == solved.total // ONE
    if solved.total < int(counts.sum()) * max_repeat * ONE:
        assert total(math.nextafter(solved.t, math.inf)) > wanted * ONE
    else:
        assert total(math.nextafter(solved.t, 0)) < solved.total or max_repeat == 1


@given(corpora(), KIND, st.integers(1, 64), st.data())
def test_t_is_the_largest_that_does_not_exceed_the_epoch(
    corpus: tuple[list[list[int]], int], kind: ResampleKind, max_repeat: int, data: st.DataObject
) -> None:
    frequencies, _, counts = counted(*corpus)
    labelled = int(counts.sum())
    wanted = data.draw(st.integers(labelled, labelled * max_repeat))
    solved = solve(frequencies, counts, kind, wanted, max_repeat)
    if labelled:
        check(solved, frequencies, counts, kind, wanted, max_repeat)
    else:
        assert (solved.t, solved.total, solved.reached) == (0.0, 0, 0) and not solved.repeats.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_repeat", [64, 1 << 15])
@pytest.mark.parametrize("times", [1.0, 1.25, 2.0, 60.0])
def test_the_largest_corpus_is_exact(kind: ResampleKind, max_repeat: int, times: float) -> None:
    """3.5 billion images, one label each, of Zipf's frequencies: the sums pass 2^53, where floats would lose units."""
    shares = 1 / np.arange(1, 2001)
    frequencies = np.maximum(1, (IMAGES * shares / shares.sum()).astype(np.int64))
    frequencies[0] += IMAGES - frequencies.sum()
    wanted = int(IMAGES * times)
    solved = solve(frequencies, frequencies, kind, wanted, max_repeat)
    check(solved, frequencies, frequencies, kind, wanted, max_repeat)
    assert solved.reached > wanted * 0.999


@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_of_the_range(kind: ResampleKind) -> None:
    frequencies, counts = np.array([100, 10, 3]), np.array([90, 8, 3])
    least = solve(frequencies, counts, kind, 101, 64)
    assert least.repeats.tolist() == [ONE] * 3 and least.total == 101 * ONE and least.t >= 3
    most = solve(frequencies, counts, kind, 101 * 64, 64)
    assert most.repeats.tolist() == [64 * ONE] * 3 and most.reached == 101 * 64
    assert most.t == 100 * (64**2 if kind == "sqrt" else 64)
    for wanted in (0, 100, 101 * 64 + 1):
        with pytest.raises(ConfigError, match=r"101 .* 6464 "):
            solve(frequencies, counts, kind, wanted, 64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_epoch_is_twice_the_images(kind: ResampleKind) -> None:
    frequencies, counts = np.array([1000, 10, 3]), np.array([900, 8, 3])
    asked = solve(frequencies, counts, kind, 2 * 911, 64)
    assert solve(frequencies, counts, kind, None, 64).t == asked.t
    assert solve(frequencies, counts, kind, None, 1).reached == 911
    nobody = solve(np.zeros(3, np.int64), np.zeros(3, np.int64), kind, None, 64)
    assert (nobody.t, nobody.reached) == (0.0, 0)


def test_natural_is_every_image_once() -> None:
    frequencies, counts = np.array([10, 0, 3]), np.array([8, 0, 3])
    solved = solve(frequencies, counts, "natural", None, 64)
    assert (solved.t, solved.repeats.tolist(), solved.total, solved.reached) == (0.0, [ONE, 0, ONE], 11 * ONE, 11)
    with pytest.raises(ConfigError, match="natural"):
        solve(frequencies, counts, "natural", 11, 64)


@pytest.mark.parametrize(("images", "max_repeat"), [(1 << 42, 1 << 15), (IMAGES, 0), (IMAGES, ONE), (1 << 46, 1)])
def test_overflows_of_64_bits_are_refused(images: int, max_repeat: int) -> None:
    with pytest.raises(ConfigError, match="max_repeat"):
        solve(np.array([images]), np.array([images]), "sqrt", images, max_repeat)
    with pytest.raises(ConfigError, match="max_repeat"):
        repeat_of(np.array([images]), "sqrt", 1.0, max_repeat)


def test_a_total_that_64_bits_do_not_hold_is_refused() -> None:
    frequencies = np.full(64, 1 << 32)
    assert repeat_of(frequencies, "sqrt", 1e300, 1 << 15).tolist() == [1 << 31] * 64
    with pytest.raises(ConfigError, match="max_repeat"):
        solve(frequencies, frequencies, "sqrt", None, 1 << 15)


@given(corpora(), KIND, st.integers(1, 8), st.integers(0, 1 << 20), st.integers(-9, 9), st.data())
def test_epochs_have_the_reported_size(
    corpus: tuple[list[list[int]], int], kind: ResampleKind, max_repeat: int, epoch: int, seed: int, data: st.DataObject
) -> None:
    """Copies of every image by the rule of `extra_offset`, one after the other, against the closed form."""
    images, num_labels = corpus
    frequencies, rarest, counts = counted(images, num_labels)
    labelled = int(counts.sum())
    wanted = data.draw(st.integers(labelled, labelled * max_repeat))
    solved = solve(frequencies, counts, kind, wanted, max_repeat)
    offset, running, shown = extra_offset(seed, epoch), 0, 0
    repeats = [int(solved.repeats[label]) for label in rarest if label >= 0]
    for repeat in repeats:
        whole, fraction = divmod(repeat, ONE)
        shown += whole + ((running + fraction + offset) // ONE > (running + offset) // ONE)
        running += fraction
    assert sum(repeats) == solved.total
    assert shown == sum(repeat // ONE for repeat in repeats) + (running + offset) // ONE - offset // ONE
    assert shown in (solved.reached, -(-solved.total // ONE)) and shown <= wanted


def test_extra_copies_rotate_over_epochs() -> None:
    """Over all 65,536 offsets, each image gets as many extra copies as its fraction has units; epochs choose other images."""
    frequencies, counts = np.array([60, 30, 7]), np.array([50, 23, 7])
    solved = solve(frequencies, counts, "sqrt", 117, 64)
    fractions = np.repeat(solved.repeats, counts) % ONE
    before = np.cumsum(fractions) - fractions
    offsets = np.array([extra_offset(3, epoch) for epoch in range(ONE)])[:, None]
    extras = (before + fractions + offsets) // ONE > (before + offsets) // ONE
    assert (extras.sum(axis=0) == fractions).all() and np.count_nonzero(fractions) > 20
    chosen = {tuple(np.flatnonzero(row)) for row in extras[:8]}
    assert len(chosen) == 8


def test_memory_goes_with_labels_not_images() -> None:
    num_labels = 20_000
    frequencies = np.full(num_labels, IMAGES // num_labels)
    frequencies[::2] //= 3
    tracemalloc.start()
    try:
        solve(frequencies, frequencies, "sqrt", None, 64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 8 * num_labels


@given(st.lists(FREQUENCY, max_size=8), st.floats(0, 1e12))
def test_a_capped_repeat_is_the_exact_floor_and_one_unit_at_least(frequencies: list[int], t: float) -> None:
    repeats = repeat_of(np.array(frequencies, np.int64), "cap", t, 64)
    for images, repeat in zip(frequencies, repeats.tolist(), strict=True):
        exact = min(ONE, math.floor(ONE * Fraction(t) / images)) if images else 0
        assert repeat == (max(1, exact) if images else 0)


def test_capped_repeats_in_numbers() -> None:
    found = solve(np.array([80_000, 20_000, 5_000, 0]), np.array([70_000, 20_000, 5_000, 0]), "cap", None, 64, 20_000)
    assert found.repeats.tolist() == [ONE // 4, ONE, ONE, 0]
    assert found.total == 70_000 * ONE // 4 + 25_000 * ONE and found.reached == 42_500 and found.t == 20_000
    assert repeat_of(np.array([3]), "cap", 1.0, 1).tolist() == [ONE // 3]


@given(corpora(), st.data())
def test_the_threshold_of_a_cap_is_the_largest_that_does_not_exceed_the_epoch(
    corpus: tuple[list[list[int]], int], data: st.DataObject
) -> None:
    frequencies, _, counts = counted(*corpus)
    images = int(counts.sum())
    if not images:
        assert solve(frequencies, counts, "cap", 0, 64).reached == 0
        return
    wanted = data.draw(st.integers(1, images))
    solved = solve(frequencies, counts, "cap", wanted, 64)
    assert solved.total == int((repeat_of(frequencies, "cap", solved.t, 1) * counts).sum()) <= wanted * ONE
    if solved.total < images * ONE:
        after = math.nextafter(solved.t, math.inf)
        assert int((repeat_of(frequencies, "cap", after, 1) * counts).sum()) > wanted * ONE
    assert solve(frequencies, counts, "cap", images, 64).total == images * ONE  # all, once


@pytest.mark.parametrize("wanted", [0, 6, -1])
def test_a_cap_cannot_make_more_samples_than_there_are_images(wanted: int) -> None:
    with pytest.raises(ConfigError, match="give 1 to 5"):
        solve(np.array([5]), np.array([5]), "cap", wanted, 64)


def test_a_cap_of_billions_of_images_and_17_000_labels() -> None:
    ranks = np.arange(1, 17_001)
    counts = np.int64(IMAGES // 11) // ranks  # Zipf's law
    solved = solve(counts, counts, "cap", int(counts.sum()) // 4, 64)
    assert 0 <= (int(counts.sum()) // 4) * ONE - solved.total < IMAGES  # a step of t is a unit of the largest label
    assert (np.diff(solved.repeats) >= 0).all() and solved.repeats[0] < ONE == solved.repeats[-1]
