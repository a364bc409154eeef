"""Tests the learning rate of every step."""

from dataclasses import replace

import pytest

from tagmill.training.config.train import TrainConfig
from tagmill.training.step.schedule import learning_rate


def test_the_learning_rate_warms_up_and_falls() -> None:
    config = TrainConfig(lr=0.1, lr_batch_size=256, batch_size=8064, warmup_steps=10, warmup_lr=0.1)
    rates = [learning_rate(config, step, 110) for step in range(110)]
    assert rates[9] == rates[10] == pytest.approx(3.15)
    assert rates[0] == pytest.approx(0.1 + (3.15 - 0.1) / 10)
    assert rates[60] == pytest.approx(3.15 / 2) and 0 < rates[-1] < 0.001 and rates[10:] == sorted(rates[10:])[::-1]
    halved = replace(config, schedule="milestones", milestones=(0.25, 0.5, 0.75), gamma=0.5, warmup_steps=0)
    assert [learning_rate(halved, step, 4) for step in range(4)] == pytest.approx([3.15, 1.575, 0.7875, 0.39375])


def test_a_constant_rate_stays_after_the_warm_up() -> None:
    config = TrainConfig(lr=0.2, schedule="constant", warmup_steps=2)
    assert [learning_rate(config, step, 5) for step in range(5)] == pytest.approx([0.1, 0.2, 0.2, 0.2, 0.2])
