"""The learning rate of every step."""

import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.detection.detection_schedule import RECIPES, detection_schedule


def test_published_recipes_at_their_own_batch() -> None:
    bit = detection_schedule("retinanet", 118_287, 256)
    assert (bit.epochs, bit.rate, bit.drops, bit.steps_per_epoch) == (30, 0.08, (16, 22), 463)
    torchvision = detection_schedule("mask-rcnn", 118_287, 16)
    assert (torchvision.epochs, torchvision.rate, torchvision.drops) == (26, 0.02, (16, 22))


def test_rates_follow_the_batch_and_drops_the_epochs() -> None:
    made = detection_schedule("faster-rcnn", 100, 4, epochs=13, warmup_steps=0)
    assert made.rate == pytest.approx(0.005) and made.drops == (8, 11) and made.steps == 13 * 25
    rates = [made.rate_of(step) for step in (0, 199, 200, 274, 275, 324)]
    assert rates == pytest.approx([0.005, 0.005, 0.0005, 0.0005, 0.00005, 0.00005])


def test_the_warm_up_is_a_line_of_at_most_an_epoch() -> None:
    made = detection_schedule("faster-rcnn", 100, 10, rate=1.0, warmup_steps=1000)
    assert made.warmup_steps == 10
    assert [made.rate_of(step) for step in (0, 5, 10)] == pytest.approx([0.001, 0.5005, 1.0])


def test_short_runs_have_no_drop_at_their_end() -> None:
    assert detection_schedule("faster-rcnn", 8, 8, epochs=1).drops == ()
    assert all(each.source and each.drops[-1] < each.epochs for each in RECIPES.values())
    with pytest.raises(ConfigError, match="no images"):
        detection_schedule("faster-rcnn", 0, 8)
