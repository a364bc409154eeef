"""The comparison with random networks on real images: what is pooled, what is apart, and a network under every protocol."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tagmill.bench.divided_sets import DividedSet
from tagmill.bench.transfer_real import (
    EXPECTED,
    FINE_TUNE,
    PROBES,
    Clock,
    Compared,
    judge_network,
    pooled,
    table_lines,
    verdict,
)
from tagmill.training.trained.model import Transform
from tagmill.transfer.features.random_network import architecture, random_network
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.sets.labelled_set import SetClass
from tests.transfer.drawn_set import drawn_set


def outcome(right: list[bool], groups: list[str]) -> Outcome:
    count = len(right)
    return Outcome(
        "linear",
        "model",
        "set",
        (SetClass("one"), SetClass("two")),
        np.array([f"{place}" for place in range(count)]),
        np.zeros(count, np.int64),
        np.where(np.array(right)[:, None], [[0, 1]], [[1, 0]]),
        groups=np.array(groups),
    )


def test_the_interval_draws_groups_and_not_images() -> None:
    hits = np.random.default_rng(0).random(100) < 0.6
    alone = pooled([outcome(hits.tolist(), [""] * 100)])
    # Four copies of every image in its group: the same share, and an interval that is as wide.
    together = pooled([outcome(np.repeat(hits, 4).tolist(), [f"{place // 4}" for place in range(400)])])
    # Four draws on the same images are as many copies.
    drawn = pooled([outcome(hits.tolist(), [""] * 100)] * 4)
    assert alone.value == together.value == drawn.value == hits.mean()
    half = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 100)
    for each in (alone, together, drawn):
        assert each.high - each.low == pytest.approx(2 * half, abs=0.03)
        assert each.low < each.value < each.high


def compared(low: float, *highs: float) -> Compared:
    return Compared(
        Estimate(low + 0.1, low, low + 0.2), tuple(Estimate(high - 0.1, high - 0.2, high) for high in highs)
    )


def test_the_verdict_asks_for_intervals_above_those_of_every_random_network() -> None:
    apart, touching = compared(0.5, 0.4, 0.49), compared(0.5, 0.4, 0.51)
    assert apart.apart and not touching.apart
    good = dict.fromkeys(EXPECTED, apart)
    found = {"emoji, lite0": good | {"1-shot": touching}, "emoji, demo": dict.fromkeys(EXPECTED, touching)}
    assert verdict(found).startswith("as expected") and "all 3 cases" in verdict(found)
    assert verdict({**found, "MNIST, lite0": good | {"k-NN": touching}}).endswith("MNIST, lite0, k-NN")
    rows = table_lines(found)
    assert len(rows) == 8 and rows[1].endswith("yes") and rows[4].endswith("no")
    assert "50.0 to 70.0" in rows[1] and "20.0 to 49.0" in rows[1]


def test_a_network_is_judged_under_every_protocol(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    drawn = drawn_set(3, 20, side=32, group=2)
    fold = np.arange(60) // 3 % 10 // 2  # of whole groups
    divided = DividedSet("drawn", drawn, fold.astype(np.int64), drawn_set(3, 10, side=32, seed=1))
    groups = {(each.group, number) for each, number in zip(drawn.examples, fold.tolist(), strict=True)}
    assert len(groups) == len({group for group, _ in groups})
    like = replace(architecture("test_resnet"), transform=Transform(size=32))
    clock = Clock()
    found = judge_network(random_network(like, 0, divided.unjudged), divided, str(tmp_path), clock)
    assert list(found) == [*PROBES, FINE_TUNE]
    assert all(0 <= each.low <= each.value <= each.high <= 1 for each in found.values())
    assert found["linear"].low > 1 / 3  # colours tell these classes apart
    assert set(clock.seconds) == {"features", *PROBES, FINE_TUNE}
