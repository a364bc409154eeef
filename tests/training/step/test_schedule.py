"""Tests the learning rate of every step: against a plain model, the papers' settings, and for any batch size."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.training.config.train import TrainConfig
from tagmill.training.step.schedule import learning_rate, schedule_in_words, schedule_warnings


def rates(config: TrainConfig, steps: int, steps_per_epoch: int = 1) -> list[float]:
    return [learning_rate(config, step, steps, steps_per_epoch) for step in range(steps)]


def modelled(config: TrainConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """The same from the definition, with exact fractions of the run up to the last formula."""
    batch = config.batch_size
    peak = config.lr * batch / (config.lr_batch_size or batch)
    warmup = config.warmup_steps * batch if config.warmup_images is None else config.warmup_images
    if step * batch < warmup:
        end_of_step = Fraction((step + 1) * batch, warmup)
        return config.warmup_lr + float(min(Fraction(1), end_of_step)) * (peak - config.warmup_lr)
    after = Fraction(step * batch - warmup, max(1, steps * batch - warmup))
    if config.schedule == "cosine":
        return config.final_lr + (peak - config.final_lr) * math.cos(math.pi / 2 * float(after)) ** 2
    if config.schedule == "linear":
        return float(1 - after) * peak + float(after) * config.final_lr
    if config.schedule == "halvings":
        assert config.halvings is not None
        return peak / 2.0 ** math.floor(after * (config.halvings + 1))
    if config.schedule == "milestones":
        unit = {"share": Fraction(steps * batch), "epochs": Fraction(steps_per_epoch * batch), "images": Fraction(1)}
        passed = [float(Fraction(step * batch) / unit[config.milestone_unit]) >= each for each in config.milestones]
        return peak * math.prod(config.gamma for each in passed if each)
    return peak


@st.composite
def runs(draw: st.DrawFn) -> tuple[TrainConfig, int, int]:
    """A configuration, and the steps of the run and of an epoch."""
    batch, steps, per_epoch = draw(st.integers(1, 70)), draw(st.integers(1, 60)), draw(st.integers(1, 20))
    schedule = draw(st.sampled_from(["cosine", "linear", "halvings", "milestones", "constant"]))
    unit, most = draw(st.sampled_from([("share", 0.99), ("epochs", 30.0), ("images", 4000.0)]))
    values: dict[str, Any] = {
        "batch_size": batch,
        "lr_batch_size": draw(st.none() | st.integers(1, 70)),
        "lr": draw(st.floats(0.1, 2)),
        "warmup_lr": draw(st.floats(0, 0.1)),
        "final_lr": draw(st.floats(0, 1e-3)),
        "schedule": schedule,
        "halvings": draw(st.integers(1, 20)),
        "milestone_unit": unit,
        "milestones": tuple(sorted(draw(st.lists(st.floats(0.01, most), min_size=1, max_size=4)))),
        "gamma": draw(st.floats(0.1, 1)),
    }
    values |= draw(
        st.just({})
        | st.integers(0, 70).map(lambda count: {"warmup_steps": count})
        | st.integers(0, 4000).map(lambda count: {"warmup_images": count})
    )
    return TrainConfig(**values), steps, per_epoch


@settings(max_examples=300, deadline=None)
@given(runs())
def test_every_rate_is_that_of_the_definition(run: tuple[TrainConfig, int, int]) -> None:
    config, steps, per_epoch = run
    wanted = [modelled(config, step, steps, per_epoch) for step in range(steps)]
    assert rates(config, steps, per_epoch) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(runs(), st.integers(2, 7))
def test_smaller_steps_follow_the_same_curve_exactly(run: tuple[TrainConfig, int, int], parts: int) -> None:
    """A run of steps of `batch` images, and one of `parts` times as many steps: equal positions have equal rates. In the
    warm-up a position is the end of a step, after it the beginning."""
    config, steps, per_epoch = run
    config = replace(config, lr_batch_size=None, warmup_images=config.images_of_warmup, warmup_steps=0)
    large, batch = replace(config, batch_size=config.batch_size * parts), config.batch_size
    fine = rates(config, steps * parts, per_epoch * parts)
    for step, rate in enumerate(rates(large, steps, per_epoch)):
        warming = step * large.batch_size < config.images_of_warmup
        same = min((step + 1) * parts - 1, -(-config.images_of_warmup // batch) - 1) if warming else step * parts
        assert rate == fine[same]


@settings(max_examples=100, deadline=None)
@given(runs())
def test_the_warm_up_ends_at_the_peak_where_the_schedule_begins(run: tuple[TrainConfig, int, int]) -> None:
    config, _, per_epoch = run
    config = replace(
        config, milestones=(0.9,), milestone_unit="share", warmup_images=config.batch_size * 9, warmup_steps=0
    )
    found = rates(config, 90, per_epoch)
    assert found[8] == pytest.approx(config.peak_lr, rel=1e-12) and found[9] == pytest.approx(config.peak_lr, rel=1e-12)
    rise = [second - first for first, second in itertools.pairwise([config.warmup_lr, *found[:9]])]
    assert rise == pytest.approx([(config.peak_lr - config.warmup_lr) / 9] * 9)


def test_the_learning_rate_warms_up_and_falls() -> None:
    config = TrainConfig(lr=0.1, lr_batch_size=256, batch_size=8064, warmup_steps=10, warmup_lr=0.1)
    found = rates(config, 110)
    assert found[9] == found[10] == pytest.approx(3.15)
    assert found[0] == pytest.approx(0.1 + (3.15 - 0.1) / 10)
    assert found[60] == pytest.approx(3.15 / 2) and 0 < found[-1] < 0.001 and found[10:] == sorted(found[10:])[::-1]
    assert found == rates(replace(config, warmup_steps=0, warmup_images=80_640), 110)
    staircase = replace(config, schedule="milestones", milestones=(0.25, 0.5, 0.75), gamma=0.5, warmup_steps=0)
    assert rates(staircase, 4) == pytest.approx([3.15, 1.575, 0.7875, 0.39375])


def test_a_constant_rate_stays_after_the_warm_up() -> None:
    config = TrainConfig(lr=0.2, schedule="constant", warmup_steps=2)
    assert rates(config, 5) == pytest.approx([0.1, 0.2, 0.2, 0.2, 0.2])


def test_a_milestone_is_passed_at_its_step_and_not_one_later() -> None:
    """0.7 times 10 steps is more than 7 in floating point."""
    config = TrainConfig(lr=1.0, schedule="milestones", milestones=(0.7,))
    assert rates(config, 10) == pytest.approx([1.0] * 7 + [0.1] * 3)


def test_halvings_of_mahajan_2018_and_yalniz_2019() -> None:
    """0.1 for 256 images, warmed up from 0.1, then 13 halvings: 3.15 with 8,064 images, 0.6 with 1,536."""
    for batch, peak in ((8064, 3.15), (1536, 0.6)):
        config = TrainConfig(
            lr=0.1,
            lr_batch_size=256,
            batch_size=batch,
            warmup_lr=0.1,
            warmup_images=20_160_000,
            schedule="halvings",
            halvings=13,  # type: ignore[arg-type]
        )
        steps, warmup = math.ceil(1e9 / batch), 20_160_000 / batch
        length = (steps - warmup) / 14
        assert learning_rate(config, math.ceil(warmup) - 1, steps, 1) == pytest.approx(peak)
        assert learning_rate(config, 0, steps, 1) == pytest.approx(0.1 + (peak - 0.1) / warmup)
        for part in range(14):
            for place in (0.001, 0.5, 0.999):
                step = round(warmup + (part + place) * length)
                assert learning_rate(config, step, steps, 1) == pytest.approx(peak / 2**part)
        assert learning_rate(config, steps - 1, steps, 1) == pytest.approx(peak / 8192)


def test_staircases_of_bit_2019() -> None:
    """0.03 for 256 images at 4,096 of them, 5,000 steps of warm-up; 90 epochs with drops at 30, 60 and 80, and 40 with drops
    at 10, 23, 30 and 37."""
    for epochs, drops in ((90, (30, 60, 80)), (40, (10, 23, 30, 37))):
        shared = {"lr": 0.03, "lr_batch_size": 256, "batch_size": 4096, "warmup_steps": 5000, "schedule": "milestones"}
        config = TrainConfig(**shared, milestones=drops, milestone_unit="epochs")  # type: ignore[arg-type]
        per_epoch = 3467 if epochs == 90 else 73_242
        for count, drop in enumerate(drops):
            assert learning_rate(config, drop * per_epoch - 1, epochs * per_epoch, per_epoch) == pytest.approx(
                0.48 * 0.1**count
            )
            assert learning_rate(config, drop * per_epoch, epochs * per_epoch, per_epoch) == pytest.approx(
                0.48 * 0.1 ** (count + 1)
            )
        images = replace(config, milestones=tuple(drop * per_epoch * 4096 for drop in drops), milestone_unit="images")
        for step in range(0, epochs * per_epoch, 997):
            steps = epochs * per_epoch
            assert learning_rate(images, step, steps, 1) == learning_rate(config, step, steps, per_epoch)


def test_cosine_of_catlip_2024() -> None:
    """1e-6 to 1e-3 in 10,000 steps of 65,536 images, then half a cosine to 1e-5 at 200,000."""
    config = TrainConfig(lr=1e-3, batch_size=65_536, warmup_steps=10_000, warmup_lr=1e-6, final_lr=1e-5)
    points = {4_999: (1e-6 + 1e-3) / 2, 9_999: 1e-3, 10_000: 1e-3, 105_000: (1e-3 + 1e-5) / 2, 199_999: 1e-5}
    for step, rate in points.items():
        assert learning_rate(config, step, 200_000, 1) == pytest.approx(rate, rel=1e-6)


def test_what_is_said_of_a_schedule() -> None:
    config = TrainConfig(lr=0.1, lr_batch_size=256, batch_size=512, warmup_steps=4)
    assert schedule_in_words(config) == "0.2 after 2,048 images of warm-up from 0, then half a cosine to 0"
    assert schedule_in_words(replace(config, warmup_steps=0, schedule="halvings", halvings=3)) == "0.2, then 3 halvings"
    stairs = replace(config, schedule="milestones", milestones=(0.5, 30, 90), milestone_unit="epochs")
    assert schedule_in_words(stairs).endswith("then times 0.1 at 3 milestones")
    assert schedule_warnings(config, 5, 1) == []
    (said,) = schedule_warnings(config, 4, 1)
    assert "warm-up of 2,048 images is not over when the run ends, after 2,048 images" in said
    early, late = schedule_warnings(stairs, 93, 3)
    assert "milestone at 0.5 epochs is in the warm-up" in early and "milestone at 90 epochs is not reached" in late
