"""Label noise: against a literal reading of the rule, in its marginal, and for any division of the work."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.views import label_noise
from tagmill.ingest.views.keyed_random import REPLACE, REPLACEMENT, Keys, uniform, words
from tagmill.ingest.views.label_noise import NoiseCounts, add_noise, expected, replace
from tagmill.shards.arrays import Int32s, Int64s
from tagmill.shards.errors import ConfigError

ZIPF = np.array([200_000 // (rank + 1) for rank in range(150)])
SHARES = [0.1, 0.25, 0.5, 1.0]
Case = tuple[list[list[int]], Int64s, float, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Images as lists of labels, the labels' frequencies (two at least above 0), p and a seed."""
    num_labels = draw(st.integers(2, 8))
    frequencies = draw(st.lists(st.integers(0, 9), min_size=num_labels, max_size=num_labels))
    for label in draw(st.permutations(range(num_labels)))[:2]:
        frequencies[label] = max(frequencies[label], draw(st.integers(1, 1 << 40)))
    ids = st.integers(0, num_labels - 1)
    images = draw(st.lists(st.lists(ids, max_size=5, unique=True).map(sorted), max_size=30))
    p = draw(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1))
    return images, np.array(frequencies, np.int64), p, draw(st.integers(-(1 << 63), (1 << 63) - 1))


def padded(images: list[list[int]], width: int = 5) -> Int32s:
    rows = np.full((len(images), width), -1, np.int32)
    for row, labels in zip(rows, images, strict=True):
        row[: len(labels)] = labels
    return rows


def keys_of(num: int) -> Keys:
    return np.random.default_rng(num).integers(0, 256, (num, 16), np.uint8)


def replaced(label: int, key: Keys, frequencies: Int64s, p: float, seed: int) -> int:
    """One label after the rule: a walk through the frequencies without its own."""
    if uniform(seed, REPLACE, key[None], label)[0] >= p:
        return label
    others = [0 if other == label else int(images) for other, images in enumerate(frequencies)]
    place = int(words(seed, REPLACEMENT, key[None], label)[0]) * sum(others) >> 64
    for other, images in enumerate(others):
        place -= images
        if place < 0:
            return other
    raise AssertionError("a place behind the last label")


@given(cases())
def test_noise_is_the_rule_label_by_label(case: Case) -> None:
    images, frequencies, p, seed = case
    keys = keys_of(len(images))
    found, counts = add_noise(padded(images), keys, frequencies, p, seed)
    drawn = [
        [replaced(label, key, frequencies, p, seed) for label in row] for row, key in zip(images, keys, strict=True)
    ]
    assert found.dtype == np.int32
    assert found.tolist() == padded([sorted(set(row)) for row in drawn]).tolist()
    pairs = [pair for old, new in zip(images, drawn, strict=True) for pair in zip(old, new, strict=True)]
    assert counts == NoiseCounts(
        replaced=sum(old != new for old, new in pairs), merged=sum(len(row) - len(set(row)) for row in drawn)
    )


@given(cases(), st.data())
def test_any_division_of_the_rows_gives_the_same(case: Case, data: st.DataObject) -> None:
    images, frequencies, p, seed = case
    labels, keys = padded(images), keys_of(len(images))
    whole, counts = add_noise(labels, keys, frequencies, p, seed)
    order = np.array(data.draw(st.permutations(range(len(images)))), np.int64)
    cut = data.draw(st.integers(0, len(images)))
    pieces = [add_noise(labels[part], keys[part], frequencies, p, seed) for part in (order[:cut], order[cut:])]
    assert np.concatenate([piece for piece, _ in pieces]).tolist() == whole[order].tolist()
    assert counts.replaced == sum(each.replaced for _, each in pieces)
    assert counts.merged == sum(each.merged for _, each in pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_noise, "NOISE_ROWS", data.draw(st.integers(1, 7)))
        again, same = add_noise(labels, keys, frequencies, p, seed)
    assert again.tolist() == whole.tolist() and same == counts


@given(cases())
def test_no_noise_changes_nothing(case: Case) -> None:
    images, frequencies, _, seed = case
    labels = padded(images)
    found, counts = add_noise(labels, keys_of(len(images)), frequencies, 0.0, seed)
    assert found.tolist() == labels.tolist() and found is not labels and counts == NoiseCounts(0, 0)


@given(cases())
def test_full_noise_keeps_no_label(case: Case) -> None:
    images, frequencies, _, seed = case
    flat = np.array([label for row in images for label in row], np.int64)
    keys = np.repeat(keys_of(len(images)), [len(row) for row in images], axis=0)
    assert (replace(flat, keys, frequencies, 1.0, seed) != flat).all()
    labels = padded(images)
    before = labels.copy()
    _, counts = add_noise(labels, keys_of(len(images)), frequencies, 1.0, seed)
    assert counts.replaced == len(flat) and (labels == before).all()  # the caller's own are left alone


@given(cases())
def test_a_label_without_images_is_never_drawn(case: Case) -> None:
    images, frequencies, p, seed = case
    found, _ = add_noise(padded(images), keys_of(len(images)), frequencies, p, seed)
    for row, old in zip(found.tolist(), images, strict=True):
        assert all(frequencies[label] > 0 or label in old for label in row if label >= 0)


def deviations(found: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far counts are from what is expected, in standard deviations of a binomial."""
    num = found.sum()
    return np.asarray(np.abs(found - num * shares) / np.sqrt(num * shares * (1 - shares)))


def one_label() -> tuple[Int64s, Keys]:
    """An image a label, in the exact proportions of ZIPF."""
    labels = np.repeat(np.arange(len(ZIPF)), ZIPF)
    return labels, keys_of(len(labels))


@pytest.mark.parametrize("p", SHARES)
def test_the_marginal_is_as_expected(p: float) -> None:
    labels, keys = one_label()
    found, counts = add_noise(labels[:, None].astype(np.int32), keys, ZIPF, p, 11)
    after = np.bincount(found[:, 0], minlength=len(ZIPF))
    assert deviations(after, expected(ZIPF, p)).max() < 5
    assert deviations(after, ZIPF / ZIPF.sum()).max() > 5  # so many labels tell q from m
    assert counts.merged == 0 and abs(counts.replaced - len(labels) * p) <= 5 * math.sqrt(len(labels) * p * (1 - p))


def test_what_a_label_becomes_is_the_marginal_of_the_others() -> None:
    labels, keys = one_label()
    after = replace(labels, keys, ZIPF, 0.5, 12)
    for label in (0, 1, 30):
        became = after[(labels == label) & (after != label)]
        others = np.where(np.arange(len(ZIPF)) == label, 0, ZIPF)
        assert (
            deviations(np.bincount(became, minlength=len(ZIPF))[others > 0], (others / others.sum())[others > 0]).max()
            < 5
        )


@pytest.mark.parametrize("p", SHARES)
def test_several_labels_of_an_image_have_the_marginal_before_merging(p: float) -> None:
    """Three labels an image: the draws of an image are independent of each other."""
    num_images = 200_000
    labels = np.sort(np.random.default_rng(4).choice(50, (num_images, 3), p=ZIPF[:50] / ZIPF[:50].sum()), axis=1)
    labels = labels[(np.diff(labels, axis=1) > 0).all(axis=1)]
    frequencies, keys = np.bincount(labels.ravel(), minlength=50), keys_of(len(labels))
    after = replace(labels.ravel(), np.repeat(keys, 3, axis=0), frequencies, p, 13).reshape(-1, 3)
    assert deviations(np.bincount(after.ravel(), minlength=50), expected(frequencies, p)).max() < 5
    changed = after != labels
    together = np.bincount(changed @ np.array([1, 2, 4]), minlength=8)
    shares = np.array([p ** bin(bits).count("1") * (1 - p) ** (3 - bin(bits).count("1")) for bits in range(8)])
    assert (np.abs(together - len(labels) * shares) <= 5 * np.sqrt(len(labels) * shares * (1 - shares))).all()
    found, counts = add_noise(labels.astype(np.int32), keys, frequencies, p, 13)
    assert counts.merged == after.size - (found >= 0).sum() > 0


def test_seeds_choose_other_labels() -> None:
    labels, keys = one_label()
    first, second = (replace(labels, keys, ZIPF, 0.5, seed) != labels for seed in (1, 2))
    assert abs((first & second).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(labels))


@given(cases())
def test_expected_is_the_formula(case: Case) -> None:
    _, frequencies, p, _ = case
    total = int(frequencies.sum())
    shares = [Fraction(int(images), total) for images in frequencies]
    for label, found in enumerate(expected(frequencies, p).tolist()):
        others = sum(share / (1 - share) for other, share in enumerate(shares) if other != label)
        exact = float(shares[label] * ((1 - Fraction(p)) + Fraction(p) * others))
        assert found == pytest.approx(exact, rel=1e-12, abs=1e-300)
    assert expected(frequencies, p).sum() == pytest.approx(1, rel=1e-12)


def test_expected_in_numbers() -> None:
    assert expected(np.array([3, 1]), 1.0).tolist() == [0.25, 0.75]
    assert expected(np.array([3, 1]), 0.5).tolist() == [0.5, 0.5]
    assert expected(np.array([1, 1, 2]), 1.0).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert expected(np.array([3, 1]), 0.0).tolist() == [0.75, 0.25]


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, math.inf])
def test_an_invalid_share_is_refused(p: float) -> None:
    for call in calls(np.array([3, 1])):
        with pytest.raises(ConfigError, match=r"0 to 1"):
            call(p)


@pytest.mark.parametrize("frequencies", [[], [5], [0, 5, 0], [0, 0]])
def test_noise_needs_two_labels(frequencies: list[int]) -> None:
    for call in calls(np.array(frequencies, np.int64)):
        with pytest.raises(ConfigError, match="two labels"):
            call(0.1)
        call(0.0)


def calls(frequencies: Int64s) -> list[Callable[[float], object]]:
    nobody = np.full((1, 2), -1, np.int32)
    return [lambda p: add_noise(nobody, keys_of(1), frequencies, p, 0), lambda p: expected(frequencies, p)]
