"""Tests how well an epoch is shuffled, and that the forecast predicts it."""

from collections import Counter
from itertools import product
from math import comb

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tagmill.pipeline.forecast import shuffle_quality as quality_module
from tagmill.pipeline.forecast.shuffle_quality import duplicates_of_global, measure_shuffle, share_of_pairs
from tests.pipeline.brute_order import CASES, ONE, Case

ENOUGH = 100.0  # duplicates that a comparison needs at least


def pictures_in_order(case: Case) -> npt.NDArray[np.int64]:
    """Returns the number of the image at each turn."""
    numbers: dict[tuple[int, int], int] = {}
    at = np.array([numbers.setdefault(sample[:2], len(numbers)) for sample in case.samples()])
    plan = case.plan()
    return at[plan.positions(np.arange(plan.num_turns))]


def of_global(pictures: npt.NDArray[np.int64], size: int) -> float:
    """Returns the duplicates that a global shuffle gives in one batch on average, by counting all batches."""
    total = len(pictures)
    counts = Counter(Counter(pictures.tolist()).values())
    absent = {copies: comb(total - copies, size) / comb(total, size) for copies in counts}
    return size - sum(number * (1 - absent[copies]) for copies, number in counts.items())


def duplicates(case: Case, batch_size: int, epochs: int) -> tuple[float, float]:
    """Returns (found, expected of global shuffles) over all batches of some epochs."""
    found = expected = 0.0
    for epoch in range(epochs):
        order = pictures_in_order(case.at_epoch(epoch))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            found += len(batch) - len(np.unique(batch))
        whole, short = divmod(len(order), batch_size)
        expected += whole * (of_global(order, batch_size) if whole else 0) + (of_global(order, short) if short else 0)
    return found, expected


@st.composite
def uniform_views(draw: st.DrawFn) -> tuple[Case, int]:
    """Generates a corpus whose classes occur about equally often, and a batch size. The rarest class has 4C samples, so
    every copy number has that many, and as many extras or none. Samples are in random order, as ingest writes them;
    with whole repeats also class by class."""
    chunk = draw(st.integers(1, 8))
    sizes = [4 * chunk + draw(st.integers(0, 60 * chunk)) for _ in range(draw(st.integers(1, 4)))]
    seen = max(sizes) * draw(st.integers(ONE, 6 * ONE))
    whole, by_class = draw(st.sampled_from([(False, False), (True, False), (True, True)]))
    repeats = np.repeat([seen // size // ONE * ONE if whole else seen // size for size in sizes], sizes)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    if not by_class:
        generator.shuffle(repeats)
    extras = int((repeats % ONE).sum()) // ONE
    assume(extras == 0 or extras >= 4 * chunk)
    cuts = np.sort(generator.integers(0, len(repeats) + 1, draw(st.integers(0, 4))))
    shards = [part.tolist() for part in np.split(repeats, cuts)]
    streams, window = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    return Case(shards, int(generator.integers(2**40)), 0, streams, window, chunk), draw(st.integers(2, 60))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(uniform_views())
def test_a_uniform_view_repeats_images_hardly_more_than_a_global_shuffle(view: tuple[Case, int]) -> None:
    """Two copies of one image are never in one chunk, and two chunks fall into a batch about as often as by chance.
    Duplicates are nearly independent, so a sum of n varies by about sqrt(n): for at least 100 expected ones, the double
    is ten deviations away."""
    case, batch_size = view
    once = duplicates(case, batch_size, 1)[1]
    assume(once > ENOUGH / 40)
    found, expected = duplicates(case, batch_size, int(ENOUGH / once) + 1)
    assert found <= 2 * expected


@settings(max_examples=30, deadline=None)
@given(case=CASES, samples=st.integers(1, 300), batch_size=st.integers(2, 60))
def test_a_natural_view_repeats_no_image_in_a_batch(case: Case, samples: int, batch_size: int) -> None:
    natural = Case([[ONE] * samples, [ONE] * 3], case.seed, case.epoch, case.streams, case.window, case.chunk)
    assert duplicates(natural, batch_size, 1)[0] == 0
    told = measure_shuffle(natural.plan(), np.array([samples, 3]), batch_size)
    assert told.duplicates == told.duplicates_global == 0


def test_copy_numbers_below_4_chunks_repeat_images() -> None:
    """A copy number with fewer samples than a chunk shares one with the next: the image that has 5 copies occurs 3
    times in the last chunk, and its window yields them together."""
    rare = Case([[ONE] * 1597 + [5 * ONE]], seed=1, epoch=0, streams=2, window=1, chunk=8)
    found, expected = duplicates(rare, 8, 100)
    assert found > 2 * expected


def test_extras_next_to_the_last_copies_repeat_images() -> None:
    """The limit of the rule: it requires an order of samples that is independent of their repeats. Here 32 samples have
    a second copy and 36 an extra, four of them both, which end the one run and begin the other: in one chunk."""
    repeats = [2 * ONE] * 28 + [3 * ONE - 1] * 4 + [2 * ONE - 1] * 32 + [ONE] * 1540
    case = Case([repeats], seed=1, epoch=0, streams=2, window=1, chunk=8)
    found, expected = duplicates(case, 8, 100)
    assert found > 2 * expected
    np.random.default_rng(0).shuffle(repeats)
    found, expected = duplicates(Case([repeats], 1, 0, 2, 1, 8), 8, 100)
    assert found <= 2 * expected


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize(("streams", "window", "chunk", "batch_size"), [(1, 1, 4, 16), (8, 2, 4, 24), (16, 3, 8, 100)])
def test_predicted_duplicates_are_those_found(
    streams: int, window: int, chunk: int, batch_size: int, fractions: bool
) -> None:
    """Which samples have extras is taken as random, so the prediction of extras is less exact."""
    repeats = np.repeat([ONE, 5 * ONE // 2, 9 * ONE, 7 * ONE + ONE // 4], [600, 240, 60, 80])
    np.random.default_rng(2).shuffle(repeats)
    repeats = repeats if fractions else repeats // ONE * ONE
    case = Case([part.tolist() for part in np.split(repeats, [300, 310])], 3, 0, streams, window, chunk)
    samples, epochs = np.array([300, 10, 670]), 6
    said = [measure_shuffle(case.at_epoch(epoch).plan(), samples, batch_size) for epoch in range(epochs)]
    found, expected = duplicates(case, batch_size, epochs)
    batches = sum(-(-case.at_epoch(epoch).plan().num_turns // batch_size) for epoch in range(epochs))
    assert np.mean([each.duplicates for each in said]) == pytest.approx(found / batches, rel=0.25)  # 110 and more
    assert said[0].duplicates_global == pytest.approx(expected / batches, rel=0.1)


@settings(max_examples=50, deadline=None)
@given(case=CASES)
def test_a_batch_of_the_whole_epoch_equals_a_global_shuffle(case: Case) -> None:
    whole = Case([[r // ONE * ONE for r in shard] for shard in case.repeats], case.seed, 0, case.streams, 2, case.chunk)
    order = pictures_in_order(whole)
    assume(len(order) > 0)
    told = measure_shuffle(whole.plan(), np.array([len(shard) for shard in whole.repeats]), len(order) + 5)
    assert told.duplicates == pytest.approx(len(order) - len(np.unique(order)))
    assert told.duplicates_global == pytest.approx(told.duplicates, abs=1e-6)
    assert told.same_chunk == pytest.approx(told.same_chunk_global)
    assert told.same_shard == pytest.approx(told.same_shard_global)


@given(
    pictures=st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(lambda each: sum(each[1:]) > 0),
    share=st.floats(0, 1),
)
def test_the_duplicates_of_a_global_shuffle(pictures: list[int], share: float) -> None:
    copies = [copy for copy, number in enumerate(pictures) for _ in range(number) for _ in range(copy)]
    names = [name for name, copy in enumerate(np.repeat(np.arange(len(pictures)), pictures)) for _ in range(copy)]
    assert len(names) == len(copies)
    size = round(share * len(names))
    assert duplicates_of_global(pictures, size) == pytest.approx(of_global(np.array(names), size), abs=1e-9)


@given(st.lists(st.integers(0, 6), max_size=5))
def test_shares_of_pairs(members: list[int]) -> None:
    groups = [group for group, number in enumerate(members) for _ in range(number)]
    pairs = [a == b for (i, a), (j, b) in product(enumerate(groups), repeat=2) if i != j]
    assert share_of_pairs(np.array(members, np.int64)) == pytest.approx(np.mean(pairs) if pairs else 0)
    assert share_of_pairs(np.array([3, 2]), np.array([2, 1])) == share_of_pairs(np.array([3, 3, 2]))


def test_pairs_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stream with one chunk in its window yields chunk after chunk; with two, half of the pairs are of one."""
    one = measure_shuffle(Case([[ONE] * 640] * 2, 1, 0, 1, 1, 16).plan(), np.array([640, 640]), 16)
    assert (one.same_chunk, one.same_shard) == (1, 1)
    assert one.same_chunk_global == pytest.approx(15 / 1279) and one.same_shard_global == pytest.approx(639 / 1279)
    two = measure_shuffle(Case([[ONE] * 640] * 2, 1, 0, 1, 2, 16).plan(), np.array([640, 640]), 32)
    assert two.same_chunk == pytest.approx(15 / 31)
    many = measure_shuffle(Case([[ONE] * 640] * 2, 1, 0, 16, 1, 16).plan(), np.array([640, 640]), 16)
    assert many.same_chunk == 0
    monkeypatch.setattr(quality_module, "SLOTS_SEEN", 1)  # at least one batch
    assert measure_shuffle(Case([[ONE] * 640] * 2, 1, 0, 1, 1, 16).plan(), np.array([640, 640]), 16).same_chunk == 1


@pytest.mark.parametrize("repeat", [ONE, 3 * ONE, ONE + ONE // 2, ONE // 2])
def test_distance_of_neighbours(repeat: int) -> None:
    """Many streams separate them as a global shuffle does; one stream with one chunk leaves them in one chunk."""
    shards, samples = [[repeat] * 2000, [repeat] * 500, [repeat] * 1500], np.array([2000, 500, 1500])
    apart = measure_shuffle(Case(shards, 1, 0, 32, 2, 16).plan(), samples, 64).neighbour_distance
    near = measure_shuffle(Case(shards, 1, 0, 1, 1, 16).plan(), samples, 64).neighbour_distance
    assert 0.85 < apart < 1.15 and near < 0.03
    assert measure_shuffle(Case([[ONE]], 1, 0, 1, 1, 16).plan(), np.array([1]), 64).neighbour_distance == 1
