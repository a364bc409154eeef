"""Tests what a fine-tuned network says of a test set."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tagmill.shards import TagmillError
from tagmill.shards.progress.protocol import Silent
from tagmill.training.config.train import TrainConfig
from tagmill.training.parallel.progress import Progress
from tagmill.transfer.finetune.judge import judge
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.finetune.recipe import recipe_of
from tagmill.transfer.finetune.set_images import SetImages
from tests.transfer.drawn_set import drawn_set

TEST = drawn_set(7, 12, undecodable=[5], missing=[80])
RECIPE = recipe_of(FineTuneOptions(size=16), "resnet50", 100, 48, 48)


class Means(nn.Module):
    """Scores are multiples of the mean of an image; `ties`: all equal."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.arange(7.0) * factor)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return images.mean((1, 2, 3))[:, None] * self.factors


def run(factor: float) -> Any:
    return SimpleNamespace(
        model=Means(factor).train(),
        config=TrainConfig(),
        device="cpu",
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        step=1,
        progress=Progress(),
    )


def test_the_best_classes_of_every_usable_image_in_order() -> None:
    given = run(1.0)
    with SetImages(TEST, 16, threads=1) as images:
        found = judge(given, images, TEST, RECIPE, Silent())
    kept = [place for place in range(84) if place not in (5, 80)]
    assert found.keys.tolist() == [TEST.examples[place].key for place in kept] == found.groups.tolist()
    assert found.truth.tolist() == [place % 7 for place in kept]
    assert found.top.tolist() == [[6, 5, 4, 3, 2]] * 82
    assert sum(found.skipped.values()) == 2 and given.model.training


def test_of_equal_scores_the_first_class_is_the_best_and_scores_must_be_finite() -> None:
    with SetImages(TEST, 16, threads=1) as images:
        assert judge(run(0.0), images, TEST, RECIPE, Silent()).top.tolist() == [[0, 1, 2, 3, 4]] * 82
        with pytest.raises(TagmillError, match="not finite"):
            judge(run(float("inf")), images, TEST, RECIPE, Silent())
