"""Tests the recipes as numbers."""

import json

import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.finetune.recipe import recipe_of


def test_bit_is_the_rule() -> None:
    recipe = recipe_of(FineTuneOptions(), "resnet50", 19_999, 32, 32)
    assert (recipe.size, recipe.crop_share, recipe.batch_size, recipe.schedule.steps) == (128, 0.8, 512, 500)
    assert recipe.zero_head and recipe.squeezed and recipe.test_share is None and not recipe.weight_decay


@pytest.mark.parametrize(("network", "size"), [("resnetv2_152x4_bit", 480), ("resnetv2_101x3_bit", 384)])
def test_only_the_largest_network_has_large_images_in_the_paper(network: str, size: int) -> None:
    assert recipe_of(FineTuneOptions(rule="paper"), network, 100, 500, 500).size == size


def test_yalniz_is_thirty_epochs_with_three_drops() -> None:
    recipe = recipe_of(FineTuneOptions(recipe="yalniz"), "resnet50", 1_281_167, 400, 500)
    assert recipe.schedule.steps == -(-30 * 1_281_167 // 1536)
    assert recipe.schedule.rate(0) == pytest.approx(0.0015)
    rates = [recipe.schedule.rate(step) for step in range(0, recipe.schedule.steps, 100)]
    assert [round(rate / 0.0015, 6) for rate in dict.fromkeys(rates)] == [1, 0.1, 0.01, 0.001]
    assert [recipe.schedule.drops[number] * 4 // recipe.schedule.steps for number in range(3)] == [1, 2, 3]
    assert (recipe.size, recipe.test_share, recipe.weight_decay) == (224, 224 / 256, 1e-4)


@pytest.mark.parametrize(
    ("network", "size"),
    [
        ("regnety_160", 384),
        ("vit_base_patch16_224", 384),
        ("vit_large_patch16_224", 512),
        ("vit_huge_patch14_224", 518),
    ],
)
def test_swag_has_its_resolutions_and_no_margin(network: str, size: int) -> None:
    recipe = recipe_of(FineTuneOptions(recipe="swag"), network, 1000, 100, 100)
    assert (recipe.size, recipe.test_share) == (size, 1.0)


def test_flags_replace_what_the_recipe_says_and_settings_are_json() -> None:
    options = FineTuneOptions(size=64, batch_size=128, lr=0.001, scale=0.1, crop=False, flip=False)
    recipe = recipe_of(options, "resnet50", 100, 32, 32)
    assert (recipe.size, recipe.batch_size, recipe.schedule.peak, recipe.schedule.steps) == (64, 128, 0.001, 50)
    assert not recipe.cropped and not recipe.flipped
    assert json.loads(json.dumps(recipe.settings())) == recipe.settings()
    assert recipe.settings()["scale"] == 0.1


@pytest.mark.parametrize("name", ["bit", "yalniz"])
def test_a_scale_that_leaves_no_step_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="scale"):
        recipe_of(FineTuneOptions(recipe=name, scale=1e-9), "resnet50", 100, 32, 32)  # type: ignore[arg-type]
