"""Tests BiT-HyperRule by its published numbers."""

import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.finetune.hyper_rule import RuleSource, hyper_rule

SMALL, LARGE = (32, 32), (224, 224)

# images, side, source: steps, warm-up, last steps before a drop, resize, crop, mixup
PUBLISHED = [
    (1, SMALL, "code", 500, 100, (200, 300, 400), 160, 128, 0.0),
    (1, LARGE, "code", 500, 100, (200, 300, 400), 512, 480, 0.0),
    (19_999, SMALL, "code", 500, 100, (200, 300, 400), 160, 128, 0.0),
    (19_999, LARGE, "code", 500, 100, (200, 300, 400), 512, 480, 0.0),
    (20_000, SMALL, "code", 10_000, 500, (3_000, 6_000, 9_000), 160, 128, 0.1),
    (20_000, LARGE, "code", 10_000, 500, (3_000, 6_000, 9_000), 512, 480, 0.1),
    (499_999, SMALL, "code", 10_000, 500, (3_000, 6_000, 9_000), 160, 128, 0.1),
    (499_999, LARGE, "code", 10_000, 500, (3_000, 6_000, 9_000), 512, 480, 0.1),
    (500_000, SMALL, "code", 20_000, 500, (6_000, 12_000, 18_000), 160, 128, 0.1),
    (500_000, LARGE, "code", 20_000, 500, (6_000, 12_000, 18_000), 512, 480, 0.1),
    (1, LARGE, "paper", 500, 100, (150, 300, 450), 448, 384, 0.0),
    (19_999, SMALL, "paper", 500, 100, (150, 300, 450), 160, 128, 0.0),
    (20_000, LARGE, "paper", 10_000, 500, (3_000, 6_000, 9_000), 448, 384, 0.1),
    (500_000, SMALL, "paper", 20_000, 500, (6_000, 12_000, 18_000), 160, 128, 0.1),
]


@pytest.mark.parametrize(("images", "sides", "source", "steps", "warmup", "last", "resize", "crop", "mixup"), PUBLISHED)
def test_the_rule_is_the_published_one(
    images: int,
    sides: tuple[int, int],
    source: RuleSource,
    steps: int,
    warmup: int,
    last: tuple[int, ...],
    resize: int,
    crop: int,
    mixup: float,
) -> None:
    rule = hyper_rule(images, *sides, source)
    assert (rule.schedule.steps, rule.schedule.warmup, rule.batch_size) == (steps, warmup, 512)
    assert (rule.resize, rule.crop, rule.mixup) == (resize, crop, mixup)
    for step in (0, 1, warmup - 1, warmup, *last, *(each + 1 for each in last), steps - 1):
        wanted = 0.003 * step / warmup if step < warmup else 0.003 / 10 ** sum(step > each for each in last)
        assert rule.schedule.rate(step) == pytest.approx(wanted, rel=1e-12), step


def test_the_largest_network_has_large_images_in_the_paper_too() -> None:
    rule = hyper_rule(1000, *LARGE, "paper", largest_network=True)
    assert (rule.resize, rule.crop) == (512, 480)


@pytest.mark.parametrize(("sides", "crop"), [((96, 95), 128), ((96, 96), 480), ((1, 9215), 128), ((1, 9216), 480)])
def test_the_area_decides_the_resolution(sides: tuple[int, int], crop: int) -> None:
    assert hyper_rule(10, *sides).crop == crop


def test_a_scale_shortens_the_schedule_and_nothing_else() -> None:
    whole, short = hyper_rule(100, *SMALL), hyper_rule(100, *SMALL, scale=0.05)
    assert (short.schedule.steps, short.schedule.warmup, short.schedule.drops) == (25, 5, (11, 16, 21))
    assert (short.batch_size, short.resize, short.crop) == (whole.batch_size, whole.resize, whole.crop)
    assert short.schedule.peak == whole.schedule.peak


@pytest.mark.parametrize(
    ("images", "scale"), [(0, 1.0), (-1, 1.0), (10, 0.0), (10, -1.0), (10, 0.0001), (10, float("nan"))]
)
def test_what_makes_no_run_is_refused(images: int, scale: float) -> None:
    with pytest.raises(ConfigError):
        hyper_rule(images, *SMALL, scale=scale)
