"""Tests of the audit's arithmetic, of its level over 1,000 worlds without an association, and of its power."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binom

from tagmill.bench.audit import world
from tagmill.shards import ConfigError
from tagmill.transfer.audit import associations
from tagmill.transfer.audit.associations import associate, group_rates, minus_others


def test_the_difference_is_the_public_protocols() -> None:
    """By the definition, image by image: share of a group's images minus the mean of the other groups' shares."""
    counts = world(np.random.default_rng(1), (30, 40, 35), 4)
    found = associate(counts, permutations=99, draws=10)
    for label in range(4):
        shares = []
        for group in range(3):
            own = counts.group == group
            images = [
                hit < hits for hits, all in zip(counts.hits[own, label], counts.images[own]) for hit in range(all)
            ]
            shares.append(float(np.mean(images)))
        np.testing.assert_allclose(found.rates[:, label], shares)
        wanted = [shares[one] - np.mean([shares[other] for other in range(3) if other != one]) for one in range(3)]
        np.testing.assert_allclose(found.difference[:, label], wanted, atol=1e-12)


def test_the_spread_is_that_of_all_permutations() -> None:
    """Of subjects with equal numbers of images the formula is exact: all 6! orders of six subjects are enumerated."""
    counts = replace(world(np.random.default_rng(2), (2, 4), 3, images=1), images=np.full(6, 5))
    counts = replace(counts, hits=np.random.default_rng(3).integers(0, 6, (6, 3)))
    orders = np.array([counts.group[list(order)] for order in permutations(range(6))])
    weights = (orders[:, None, :] == np.arange(2)[None, :, None]).astype(np.float32)
    every = minus_others(group_rates(counts.hits, counts.images, weights))
    np.testing.assert_allclose(associations._spread(counts), every.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(every.mean(axis=0), 0, atol=1e-7)


def test_the_level_holds_in_a_thousand_worlds_without_an_association() -> None:
    chance, worlds, level = np.random.default_rng(4), 1_000, 0.05
    findings = sum(
        bool(associate(world(chance, (45, 60), 8), level, 99, 2, seed).found.any()) for seed in range(worlds)
    )
    low, high = binom.interval(0.99, worlds, level)
    assert low <= findings <= high


def test_twenty_points_are_found_with_300_subjects_a_group() -> None:
    chance, worlds = np.random.default_rng(5), 60
    results = [associate(world(chance, (300, 300), 20, points=0.2), 0.05, 199, 2, seed) for seed in range(worlds)]
    assert np.mean([each.found[:, 0].all() for each in results]) >= 0.95
    assert all((each.difference[0, 0] > 0) and (each.difference[1, 0] < 0) for each in results)
    assert all(each.least[0, 0] < 0.2 for each in results)


def test_permuting_images_would_find_what_is_not_there() -> None:
    """Ten equal images of a subject are one fact, not ten: a table of images as subjects has far more findings."""
    chance = np.random.default_rng(6)
    false = {"subjects": 0, "images": 0}
    for seed in range(60):
        one = world(chance, (30, 30), 6, images=1)
        alike = replace(one, hits=10 * one.hits, images=10 * one.images)
        apart = replace(
            one,
            subjects=tuple(map(str, range(600))),
            **{name: np.repeat(getattr(one, name), 10, axis=0) for name in ("group", "hits", "images")},
        )
        false["subjects"] += bool(associate(alike, 0.05, 99, 2, seed).found.any())
        false["images"] += bool(associate(apart, 0.05, 99, 2, seed).found.any())
    assert false["subjects"] <= 9 and false["images"] >= 45


def test_intervals_cover_the_truth() -> None:
    chance, covered = np.random.default_rng(7), []
    for seed in range(60):
        found = associate(world(chance, (80, 80), 3, points=0.15), 0.05, 19, 300, seed)
        covered.append((found.low[0, 1:] <= 0) & (found.high[0, 1:] >= 0))
    low, _ = binom.interval(0.999, 120, 0.93)
    assert np.sum(covered) >= low


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = world(np.random.default_rng(8), (30, 31, 32), 5, points=0.3)
    whole = associate(counts, permutations=199, draws=50)
    monkeypatch.setattr(associations, "_ENTRIES", 700)
    parts = associate(counts, permutations=199, draws=50)
    for name in ("p", "low", "high", "least"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), rtol=1e-6)


def test_labels_that_all_or_no_images_have_are_no_findings() -> None:
    counts = world(np.random.default_rng(9), (30, 30), 3)
    counts = replace(counts, hits=np.stack([counts.images, 0 * counts.images, counts.hits[:, 0]], axis=1))
    found = associate(counts, permutations=99, draws=20)
    assert (found.p[:, :2] == 1).all() and np.isnan(found.least[:, :2]).all() and not found.difference[:, :2].any()


def test_nothing_to_test_is_no_finding_and_too_few_permutations_are_refused() -> None:
    counts = world(np.random.default_rng(10), (30, 30), 3)
    empty = replace(counts, hits=counts.hits[:, :0], tested=())
    assert associate(empty, permutations=19, draws=5).found.shape == (2, 0)
    with pytest.raises(ConfigError, match=r"18 permutations cannot give p <= 0\.05.*at least 19"):
        associate(counts, permutations=18)
