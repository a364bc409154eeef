"""Tests random numbers by position, and the windows made of them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.augment import draws as augment
from tagmill.pipeline.augment.draws import (
    CROP,
    FLIP,
    JITTER,
    MIXUP,
    RANDAUGMENT,
    Crops,
    beta_quantiles,
    eval_crops,
    jitters,
    mixes,
    operations,
    philox,
    train_crops,
    uniforms,
)

SIDES = st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=20)
SEEDS = st.integers(0, 2**63 - 1)
POSITIONS = st.integers(0, 2**40)
WORD = 2**32 - 1
GOLDEN_WINDOWS = [
    (162, 221, 216, 207, True),
    (18, 5, 268, 328, False),
    (308, 121, 193, 214, True),
    (0, 430, 30, 40, True),
]
GOLDEN_FACTORS = [
    [0.961903, 0.66527, 1.312052],
    [1.377804, 0.791382, 0.921226],
    [0.996797, 1.177894, 0.996808],
    [0.072147, -0.076016, -0.049027],
]
GOLDEN_ORDER = [[0, 2, 1], [2, 3, 3], [3, 0, 0], [1, 1, 2]]
GOLDEN_OPERATIONS = ([[2, 10, 11], [4, 6, 5]], [[True, False, False], [False, True, True]])
GOLDEN_MIX = ([1, 2, 0], [0.804531, 0.998303, 0.974828])


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((WORD, WORD, WORD, WORD), (WORD, WORD), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_vectors(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    """The vectors that Random123 publishes for philox4x32-10."""
    found = philox(key, np.array(counter, np.uint64)[:, None])
    assert found[:, 0].tolist() == list(words)


def plain_philox(seed: int, position: int, epoch: int, purpose: int, draw: int) -> list[float]:
    """Returns four uniforms, computed one word at a time."""
    a, b, c, d = position % 2**32, position // 2**32, epoch, purpose * 256 + draw
    low, high = seed % 2**32, seed // 2**32
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = second // 2**32 ^ b ^ low, second % 2**32, first // 2**32 ^ d ^ high, first % 2**32
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return [(word + 0.5) / 2**32 for word in (a, b, c, d)]


def plain_crop(seed: int, epoch: int, position: int, width: int, height: int) -> tuple[int, int, int, int, bool]:
    """Returns one window from a direct implementation: x, y, width, height, flip."""
    flip = plain_philox(seed, position, epoch, FLIP, 0)[0] < 0.5
    for attempt in range(10):
        area, ratio, across, down = plain_philox(seed, position, epoch, CROP, attempt)
        pixels = (0.08 + 0.92 * area) * width * height
        stretch = math.exp(math.log(3 / 4) + ratio * (math.log(4 / 3) - math.log(3 / 4)))
        w, h = round(math.sqrt(pixels * stretch)), round(math.sqrt(pixels / stretch))
        if 0 < w <= width and 0 < h <= height:
            return int(across * (width - w + 1)), int(down * (height - h + 1)), w, h, flip
    w, h = width, height
    if width / height < 3 / 4:
        h = max(1, round(width / (3 / 4)))
    elif width / height > 4 / 3:
        w = max(1, round(height * (4 / 3)))
    return (width - w) // 2, (height - h) // 2, w, h, flip


def rows(crops: Crops) -> list[tuple[int, int, int, int, bool]]:
    columns = (crops.x, crops.y, crops.width, crops.height, crops.flip)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=200, deadline=None)
@given(sides=SIDES, seed=SEEDS, epoch=st.integers(0, 1000), first=POSITIONS)
def test_train_crops_equal_the_direct_implementation(
    sides: list[tuple[int, int]], seed: int, epoch: int, first: int
) -> None:
    widths, heights = np.array(sides, np.int32).T
    positions = first + np.arange(len(sides)) * 977
    crops = train_crops(seed, epoch, positions, widths, heights)
    assert [column.dtype for column in (crops.x, crops.y, crops.width, crops.height)] == [np.int32] * 4
    assert crops.flip.dtype == np.bool_
    assert rows(crops) == [
        plain_crop(seed, epoch, int(position), *side) for position, side in zip(positions, sides, strict=True)
    ]


@settings(max_examples=100, deadline=None)
@given(sides=SIDES, seed=SEEDS, first=POSITIONS, size=st.integers(1, 600))
def test_windows_are_inside_their_images(sides: list[tuple[int, int]], seed: int, first: int, size: int) -> None:
    widths, heights = np.array(sides, np.int32).T
    for crops in (
        train_crops(seed, 0, first + np.arange(len(sides)), widths, heights),
        eval_crops(widths, heights, size),
    ):
        assert (crops.x >= 0).all() and (crops.y >= 0).all()
        assert (crops.width >= 1).all() and (crops.height >= 1).all()
        assert (crops.x + crops.width <= widths).all() and (crops.y + crops.height <= heights).all()


@pytest.mark.parametrize("side", [(30, 3000), (3000, 30), (1, 7), (9, 1)])
def test_a_strip_gets_the_largest_centred_window_of_allowed_ratio(side: tuple[int, int]) -> None:
    """So thin that no attempt fits."""
    width, height = (np.full(50, length, np.int32) for length in side)
    crops = train_crops(1, 0, np.arange(50), width, height)
    assert [row[:4] for row in rows(crops)] == [plain_crop(1, 0, i, *side)[:4] for i in range(50)]
    if max(side) == 3000:
        assert {row[2:4] for row in rows(crops)} == {(30, 40) if side[0] == 30 else (40, 30)}


def test_a_window_depends_only_on_position_seed_and_epoch() -> None:
    positions = np.array([5, 2**33, 7, 0])
    widths, heights = np.array([640, 500, 333, 1024], np.int32), np.array([480, 500, 500, 300], np.int32)
    crops = train_crops(2**40 + 3, 2, positions, widths, heights)
    order = np.array([2, 0, 3, 1])
    assert rows(train_crops(2**40 + 3, 2, positions[order], widths[order], heights[order])) == rows(crops.take(order))
    assert rows(train_crops(2**40 + 3, 2, positions[1:2], widths[1:2], heights[1:2])) == rows(crops)[1:2]
    for other in (
        train_crops(3, 2, positions, widths, heights),
        train_crops(2**40 + 3, 3, positions, widths, heights),
        train_crops(2**40 + 3, 2, positions + 2**32, widths, heights),
    ):
        assert rows(other) != rows(crops)


def test_the_distribution_of_windows() -> None:
    """40,000 windows of a large square: area uniform on 0.08-1 before windows that do not fit are drawn again, ratio
    log-uniform, offset uniform, half of them flipped."""
    count, side = 40_000, 10_000
    widths = np.full(count, side, np.int32)
    crops = train_crops(0, 0, np.arange(count), widths, widths)
    draws = uniforms(0, 0, np.arange(count), CROP, 1)[:, 0]
    assert np.allclose(draws.mean(axis=1), 0.5, atol=0.006) and np.allclose(draws.var(axis=1), 1 / 12, atol=0.002)
    assert abs(np.corrcoef(draws) - np.eye(4)).max() < 0.02
    share = crops.width.astype(np.float64) * crops.height / side**2
    ratio = np.log(crops.width / crops.height) / np.log(4 / 3)
    assert share.min() > 0.0799
    # A window of area a >= 3/4 fits with probability -ln a / ln 4/3: of all 0.92 that leaves 0.789, 0.42 of it below 1/2.
    assert abs((share < 0.5).mean() - 0.42 / 0.789) < 0.01
    assert abs(ratio).max() < 1.001 and abs(ratio.mean()) < 0.02
    small = share < 0.5  # these always fit, so their ratio is log-uniform
    assert abs(ratio[small].var() - 1 / 3) < 0.01
    room = side - crops.width[small] + 1
    assert abs((crops.x[small] / room).mean() - 0.5) < 0.01
    assert abs(crops.flip.mean() - 0.5) < 0.01


def test_our_exponential_is_exact_to_the_last_bits() -> None:
    powers = np.linspace(-0.15, 0.15, 10_001)
    assert abs(augment._exp(powers) / np.exp(powers) - 1).max() < 2.0**-51


def test_golden_windows() -> None:
    """The windows of saved runs: if they change, PLAN_VERSION must change."""
    positions = np.array([0, 1, 2**32 + 5, 3_499_999_999])
    widths, heights = np.array([640, 300, 512, 30], np.int32), np.array([480, 400, 512, 900], np.int32)
    assert rows(train_crops(2**33 + 7, 4, positions, widths, heights)) == GOLDEN_WINDOWS


@pytest.mark.parametrize(
    ("side", "size", "window"),
    [
        ((256, 256), 224, (16, 16, 224, 224)),
        ((500, 375), 224, (86, 23, 328, 328)),  # 375 x 224 / 256 = 328.1
        ((64, 200), 64, (4, 72, 56, 56)),  # 64 x 256 / 224 = 73.1, 64 x 64 / 73 = 56.1
        ((1, 5), 224, (0, 2, 1, 1)),
    ],
)
def test_eval_crops(side: tuple[int, int], size: int, window: tuple[int, ...]) -> None:
    widths, heights = (np.array([length], np.int32) for length in side)
    assert rows(eval_crops(widths, heights, size)) == [(*window, False)]


@given(sides=SIDES, size=st.integers(16, 600))
def test_eval_crops_are_within_a_pixel_of_resize_and_centre_crop(sides: list[tuple[int, int]], size: int) -> None:
    widths, heights = np.array(sides, np.int32).T
    crops = eval_crops(widths, heights, size)
    exact = np.minimum(widths, heights) * size / round(size * 256 / 224)
    assert (abs(crops.width - np.maximum(exact, 1)) <= 0.5).all() and (crops.width == crops.height).all()
    assert (abs(crops.x + crops.width / 2 - widths / 2) <= 0.5).all()
    assert (abs(crops.y + crops.height / 2 - heights / 2) <= 0.5).all()


def test_many_images_are_cropped_like_single_ones() -> None:
    """More than one draw at a time covers, of one epoch and of several; with strips, which no attempt fits."""
    draw = np.random.default_rng(0)
    count = 2 * augment.BETA_TERMS + 100
    widths, heights = draw.integers(1, 400, (2, count)).astype(np.int32)
    positions, epochs = draw.integers(0, 2**40, count), draw.integers(0, 3, count)
    for epoch in (7, epochs):
        whole = rows(train_crops(3, epoch, positions, widths, heights))
        for row in range(0, count, 37):
            one = np.array([row])
            of = epoch if isinstance(epoch, int) else int(epoch[row])
            assert rows(train_crops(3, of, positions[one], widths[one], heights[one])) == [whole[row]]
    assert train_crops(3, 0, positions[:0], widths[:0], heights[:0]).x.tolist() == []


def test_positions_of_several_epochs_are_cropped_as_in_each_epoch() -> None:
    positions, epochs = np.arange(40), np.arange(40) % 3
    sizes = np.full(40, 300, np.int32), np.full(40, 200, np.int32)
    together = train_crops(9, epochs, positions, *sizes)
    for epoch in range(3):
        alone, rows = train_crops(9, epoch, positions, *sizes), np.flatnonzero(epochs == epoch)
        for name in ("x", "y", "width", "height", "flip"):
            assert (getattr(together, name)[rows] == getattr(alone, name)[rows]).all()


def test_jitters_equal_the_direct_implementation() -> None:
    positions = np.array([0, 5, 2**34 + 1, -1])
    factors, order = jitters(9, 2, positions, (0.4, 1.5, 0.2, 0.1))
    for column, position in enumerate(positions.tolist()):
        drawn = plain_philox(9, position % 2**64, 2, JITTER, 0)
        limits = [(0.6, 1.4), (0.0, 2.5), (0.8, 1.2), (-0.1, 0.1)]
        wanted = [low + share * (high - low) for share, (low, high) in zip(drawn, limits, strict=True)]
        assert factors[:, column] == pytest.approx(wanted)
        number = int(plain_philox(9, position % 2**64, 2, JITTER, 1)[0] * 24)
        assert tuple(order[:, column]) == list(itertools.permutations(range(4)))[number]


def test_operations_equal_the_direct_implementation() -> None:
    positions = np.array([0, 5, 2**34 + 1])
    chosen, negated = operations(9, np.array([2, 0, 7]), positions, 3)
    for column, (position, epoch) in enumerate(zip(positions.tolist(), (2, 0, 7), strict=True)):
        for step in range(3):
            drawn = plain_philox(9, position, epoch, RANDAUGMENT, step)
            assert (chosen[step, column], negated[step, column]) == (int(drawn[0] * 14), drawn[1] < 0.5)
    chosen, negated = operations(1, 0, np.arange(14_000), 2)
    for step in range(2):
        assert np.bincount(chosen[step], minlength=14) == pytest.approx(1000, abs=150)
        assert negated[step].sum() == pytest.approx(7000, abs=300)


def test_golden_draws() -> None:
    """The draws of an image must never change: pinned for a seed of two words."""
    seed, positions, epoch = 2**40 + 3, np.array([0, 1, 2**33]), 7
    factors, order = jitters(seed, epoch, positions, (0.4, 0.4, 0.4, 0.1))
    assert np.round(factors, 6).tolist() == GOLDEN_FACTORS
    assert order.tolist() == GOLDEN_ORDER
    chosen, negated = operations(seed, epoch, positions, 2)
    assert (chosen.tolist(), negated.tolist()) == GOLDEN_OPERATIONS
    partners, shares = mixes(seed, epoch, positions, np.ones(3, np.bool_), 0.2)
    assert (partners.tolist(), np.round(shares, 6).tolist()) == GOLDEN_MIX


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, first=POSITIONS, mixable=st.lists(st.booleans(), min_size=1, max_size=30), data=st.data())
def test_partners_form_one_cycle_of_the_mixable_rows(
    seed: int, first: int, mixable: list[bool], data: st.DataObject
) -> None:
    positions, able = np.arange(len(mixable)) + first, np.array(mixable)
    partners, shares = mixes(seed, 0, positions, able, 0.3)
    assert (partners[~able] == np.flatnonzero(~able)).all() and (shares[~able] == 1.0).all()
    walked = [start := int(able.argmax())]
    while (place := int(partners[walked[-1]])) != start:
        walked.append(place)
    assert not able.any() or sorted(walked) == np.flatnonzero(able).tolist()
    # Another rank with some of the images gives them the same shares, and the order is not that of the rows.
    some = np.array(sorted(data.draw(st.sets(st.integers(0, len(mixable) - 1), min_size=1))))
    _, again = mixes(seed, 0, positions[some], able[some], 0.3)
    both = able[some] & (able[some].sum() > 1) & (able.sum() > 1)
    assert (again[both] == shares[some][both]).all()


def test_shares_have_the_beta_distribution() -> None:
    grid = (np.arange(20_001) + 0.5) / 20_001
    assert beta_quantiles(1.0, grid) == pytest.approx(grid, abs=1e-6)
    assert beta_quantiles(0.5, grid) == pytest.approx(np.sin(grid * np.pi / 2) ** 2, abs=1e-5)
    doubled = beta_quantiles(2.0, grid)
    assert 3 * doubled**2 - 2 * doubled**3 == pytest.approx(grid, abs=1e-5)
    for alpha in (0.01, 0.1, 0.2, 0.4, 3.0, 20.0, 100.0):
        found = beta_quantiles(alpha, grid)
        assert found.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)
        assert (np.diff(found) >= 0).all() and found + found[::-1] == pytest.approx(1.0)


def test_draws_of_different_purposes_differ() -> None:
    assert len({CROP, FLIP, JITTER, RANDAUGMENT, MIXUP}) == 5
