"""Tests the network that is fine-tuned."""

from dataclasses import replace

import pytest
import torch
from timm.layers import resample_abs_pos_embed

from tagmill.shards import ConfigError
from tagmill.training.config.train import TrainConfig
from tagmill.training.trained.model import Trained
from tagmill.transfer.finetune.network import sized, tuned_network
from tests.transfer.finetune.small_tune import random_model

STRICT = random_model("test_vit", dynamic_img_size=False)


def config(trained: Trained, size: int) -> TrainConfig:
    arguments = {name: value for name, value in trained.network_args.items() if name != "num_classes"}
    return sized(TrainConfig(model=str(trained.network), model_args=arguments, size=size, batch_size=4, device="cpu"))


@pytest.mark.parametrize(("zero_head", "classes"), [(True, 3), (False, 11)])
def test_all_weights_but_the_last_layer_are_those_of_the_model(zero_head: bool, classes: int) -> None:
    trained = random_model()
    model = tuned_network(trained, config(trained, 32), classes, zero_head=zero_head)
    head = {name for name in model.state_dict() if name.startswith("fc.")}
    assert head and model.state_dict()["fc.weight"].shape[0] == classes
    for name, value in model.state_dict().items():
        assert name in head or torch.equal(value, trained.weights[name]), name
    assert all(bool(model.state_dict()[name].any()) != zero_head for name in ("fc.weight",))


@pytest.mark.parametrize("size", [32, 160, 384, 512])
def test_position_embeddings_are_resampled_as_timm_does(size: int) -> None:
    made = config(STRICT, size)
    assert made.model_args == {"dynamic_img_size": False, **({} if size == 160 else {"img_size": size})}
    model = tuned_network(STRICT, made, 3, zero_head=False).eval()
    wanted = resample_abs_pos_embed(STRICT.weights["pos_embed"], [size // 16] * 2, [10, 10], 1)
    assert torch.allclose(model.state_dict()["pos_embed"], wanted)
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, size, size)).isfinite().all()


def test_a_size_that_does_not_suit_the_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="no images of 8 pixels"):
        config(STRICT, 8)


def test_the_last_layer_is_drawn_from_the_seed() -> None:
    trained, heads = random_model(), []
    for seed in (0, 0, 1):
        made = replace(config(trained, 32), seed=seed)
        heads.append(tuned_network(trained, made, 3, zero_head=False).state_dict()["fc.weight"])
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_models_that_cannot_be_tuned_are_refused() -> None:
    trained = random_model()
    made = config(trained, 32)
    bad = {**trained.weights, "fc.bias": torch.full((7,), torch.nan)}
    with pytest.raises(ConfigError, match="not finite"):
        tuned_network(replace(trained, weights=bad), made, 3, zero_head=True)
    with pytest.raises(ConfigError, match="one image"):
        tuned_network(trained, replace(made, batch_size=1), 3, zero_head=True)
    with pytest.raises(ConfigError, match="another network"):
        tuned_network(STRICT, made, 3, zero_head=True)
