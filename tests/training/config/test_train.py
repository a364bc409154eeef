"""Tests what a configuration accepts."""

from typing import Any

import pytest

from tagmill.pipeline import ProgressiveSize, VariedSize
from tagmill.shards import ConfigError
from tagmill.training.config.train import TrainConfig


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"batch_size": 0}, "batch_size = 0"),
        ({"batch_size": 10, "accumulation": 11}, "accumulation = 11"),
        ({"size": 0}, "size = 0"),
        ({"size": "128-320:"}, "128-320:32"),
        ({"size": "128-300:32"}, "give 128 to 288 by 32"),
        ({"evaluation_size": 0}, "evaluation_size = 0"),
        ({"momentum": 2.0}, "momentum = 2"),
        ({"momentum": 1.0}, "momentum = 1"),
        ({"beta2": 1.0}, "beta2 = 1"),
        ({"weight_decay": -1.0}, "weight_decay = -1"),
        ({"warmup_steps": -5}, "warmup_steps = -5"),
        ({"milestones": (5.0, -1.0)}, "milestones"),
        ({"milestones": (0.5, 0.2)}, "rising order"),
        ({"milestones": (30.0, 60.0)}, "shares of the run between 0 and 1"),
        ({"milestones": (0.0, 60.0), "milestone_unit": "epochs"}, "give epochs above 0"),
        ({"milestones": (float("inf"),), "milestone_unit": "images"}, "give images above 0"),
        ({"schedule": "milestones"}, "--schedule milestones needs --milestones"),
        ({"schedule": "halvings"}, "--schedule halvings needs --halvings"),
        ({"halvings": 0}, "halvings = 0"),
        ({"final_lr": 0.2, "lr": 0.1}, "final_lr = 0.2.*at most the peak"),
        ({"final_lr": -0.1}, "final_lr = -0.1"),
        ({"warmup_images": 5, "warmup_steps": 2}, "give one of warmup_images and warmup_steps"),
        ({"warmup_images": -5}, "warmup_images = -5"),
        ({"lr_batch_size": 0}, "lr_batch_size = 0"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"lr": -1.0}, "lr = -1"),
        ({"lr": 0.0}, "lr = 0"),
        ({"lr": 1e308, "lr_batch_size": 1}, "at most 1e\\+37"),
        ({"gamma": 0.0}, "gamma = 0"),
        ({"clip": 0.0}, "clip = 0"),
        ({"smoothing": 1.0}, "smoothing = 1"),
        ({"resume": "often"}, "auto, never or a step"),
        ({"processes": 8}, "torchrun starts processes"),
        ({"keep": 0}, "keep = 0"),
    ],
)
def test_an_invalid_value_is_refused_with_what_to_give(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TrainConfig(**values)


def test_sizes_of_a_run_and_of_its_evaluation() -> None:
    sizes = [{"size": 64}, {"size": "32-64:16"}, {"size": "32-64:16@2"}, {"size": "32-64", "evaluation_size": 48}]
    configs = [TrainConfig(**one) for one in sizes]  # type: ignore[arg-type]
    read = [config.loader_config().size for config in configs]
    assert read == [64, VariedSize(32, 64, 16), ProgressiveSize(32, 64, 2, 16), VariedSize(32, 64)]
    assert [config.loader_config("holdout").size for config in configs] == [64, 64, 64, 48]


def test_a_loader_reads_whole_steps_whatever_the_parts() -> None:
    config = TrainConfig(batch_size=24, accumulation=5)
    assert config.loader_config().batch_size == 24
    assert config.peak_lr == pytest.approx(0.1)
