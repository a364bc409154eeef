"""Tests of SWAG's linear probe: the steps are those of SGD written out, and what is not verified is named."""

from dataclasses import replace

import numpy as np
import pytest

from tagmill.shards import ConfigError, TagmillError
from tagmill.transfer.probes.swag_linear import SWAG_REGNET, SWAG_VIT, SwagRecipe, swag_linear_probe
from tests.transfer.probes.tables import clouds, given

DATA = given(clouds(300, 12, 3, seed=1, spread=0.5), clouds(200, 12, 3, seed=2, spread=0.5))


def test_the_recipes_are_those_of_the_source_and_name_what_is_not_verified() -> None:
    assert SwagRecipe("regnet", 0.001, 0.001, 256, 28, 0.9, ()) == SWAG_REGNET
    assert (SWAG_VIT.decay, SWAG_VIT.batch, SWAG_VIT.epochs, SWAG_VIT.unverified) == (1e-9, 1024, 28, ("rate",))
    settings = swag_linear_probe(DATA, SWAG_VIT).settings
    assert settings["unverified"] == ["rate"] and settings["steps"] == 28
    assert "none" in str(settings["augmentation"])


def test_learns_and_is_a_function_of_its_seed() -> None:
    recipe = replace(SWAG_REGNET, rate=0.05, batch=32)
    first, again, other = (swag_linear_probe(DATA, recipe, seed) for seed in (0, 0, 1))
    assert np.mean(first.top[:, 0] == first.truth) > 0.9
    assert first.top.tolist() == again.top.tolist() and first.settings == again.settings
    assert first.settings["steps"] == 28 * 10 and other.settings["seed"] == 1


def test_whole_batches_descend_as_written_out() -> None:
    """With one batch an epoch the order of the images has no effect: the steps can be written out from the first weights."""
    import torch

    recipe = replace(SWAG_REGNET, rate=0.1, batch=512, epochs=7)
    draw = torch.Generator().manual_seed(4)
    bound = 12**-0.5
    weights = ((2 * torch.rand(3, 12, generator=draw) - 1) * bound).double().numpy()
    bias = ((2 * torch.rand(3, generator=draw) - 1) * bound).double().numpy()
    both = np.concatenate([weights, bias[:, None]], axis=1)
    values = np.pad(DATA.train.values.astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
    velocity = np.zeros_like(both)
    for epoch in range(7):
        scores = values @ both.T
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        slope = (shares - np.eye(3)[DATA.train.labels]).T @ values / len(values) + 1e-3 * both
        velocity = 0.9 * velocity + slope
        both = both - 0.1 * (1 + np.cos(np.pi * epoch / 7)) / 2 * (slope + 0.9 * velocity)
    test = np.pad(DATA.test.values.astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
    assert (swag_linear_probe(DATA, recipe, 4).top[:, 0] == (test @ both.T).argmax(1)).mean() > 0.99


def test_divergence_and_settings_without_meaning_are_errors() -> None:
    with pytest.raises(TagmillError, match="diverged"):
        swag_linear_probe(DATA, replace(SWAG_REGNET, rate=1e30))
    for bad in ({"rate": 0.0}, {"batch": 0}, {"epochs": 0}, {"decay": -1.0}, {"momentum": 1.0}):
        with pytest.raises(ConfigError):
            replace(SWAG_REGNET, **bad)  # type: ignore[arg-type]
