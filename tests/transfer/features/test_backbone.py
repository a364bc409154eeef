"""A backbone gives timm's own features, at any resolution that suits it, and says in a line what it cannot do."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from tagmill.pipeline import Batch
from tagmill.shards import ConfigError, TagmillError
from tagmill.training.trained.model import Transform
from tagmill.transfer.features.backbone import at_resolution, open_backbone, read_model
from tests.transfer.features.small_model import small_model


def images(side: int = 64) -> torch.Tensor:
    """Noise in the memory layout of normalised batches."""
    made = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    return made.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("network", ["test_efficientnet", "test_vit", "test_resnet", "test_convnext"])
def test_features_are_those_of_timm_for_a_network_without_a_last_layer(network: str) -> None:
    arguments = {"img_size": 64} if network == "test_vit" else {}
    trained = small_model(network, **arguments)
    bare = timm.create_model(network, num_classes=0, **arguments).eval()
    bare.load_state_dict(trained.weights, strict=False)
    backbone = open_backbone(trained, device="cpu")
    with torch.inference_mode():
        expected = bare(images())
        other = bare(images().contiguous(memory_format=torch.contiguous_format))
    assert torch.equal(backbone.of(images()), expected) and backbone.width == expected.shape[1]
    torch.testing.assert_close(expected, other, atol=1e-5, rtol=1e-4)  # timm's usual layout: rounding


def test_images_are_computed_in_the_layout_in_which_batches_come() -> None:
    backbone, noise = open_backbone(small_model(), device="cpu"), torch.randint(0, 256, (2, 3, 64, 64)).to(torch.uint8)
    batch = Batch.of(noise, [np.zeros(0, np.int32)] * 2, np.ones(2, bool), 2, np.zeros((2, 16), np.uint8), np.arange(2))
    normalised = batch.normalised("float32", backbone.transform.mean, backbone.transform.std).images
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    usual = normalised.contiguous(memory_format=torch.contiguous_format)
    assert torch.equal(backbone.of(usual), backbone.of(normalised)) and torch.equal(backbone(batch), backbone.of(usual))


def test_logits_are_those_of_the_whole_network() -> None:
    trained = small_model()
    backbone = open_backbone(trained, outputs="logits", device="cpu")
    with torch.inference_mode():
        assert torch.equal(backbone.of(images()), trained.build()(images()))
    assert backbone.width == 1000


@pytest.mark.parametrize("side", [96, 160])
def test_a_vit_at_another_resolution_has_its_position_embeddings_resampled(side: int) -> None:
    trained = small_model("test_vit", img_size=64)
    backbone = open_backbone(trained, side, device="cpu")
    patch = 64 // int((trained.weights["pos_embed"].shape[1] - 1) ** 0.5)
    expected = timm.create_model("test_vit", img_size=side).eval()
    resampled = resample_abs_pos_embed(trained.weights["pos_embed"], [side // patch] * 2, num_prefix_tokens=1)
    expected.load_state_dict({**trained.weights, "pos_embed": resampled})
    with torch.inference_mode():
        found = expected.forward_head(expected.forward_features(images(side)), pre_logits=True)
    assert torch.equal(backbone.of(images(side)), found)
    assert (backbone.transform.size, backbone.transform.share) == (side, 1.0)


def test_a_network_at_its_own_resolution_stays_as_it_is() -> None:
    built = timm.create_model("test_vit", img_size=64)
    before = built.pos_embed
    assert at_resolution(built, 64, "memory").pos_embed is before


def test_a_side_that_does_not_suit_the_network_is_one_line() -> None:
    with pytest.raises(ConfigError, match="no images of 97 pixels"):
        open_backbone(small_model("test_vit", img_size=64), 97, device="cpu")
    assert open_backbone(small_model(), 97, share=0.5, device="cpu").transform == Transform(97, 0.5)
    with pytest.raises(ConfigError, match=r"centre crop of 1\.5"):
        open_backbone(small_model(), share=1.5, device="cpu")


def test_bare_weights_become_a_model_by_the_name_of_their_network(tmp_path: Path) -> None:
    file, trained = str(tmp_path / "weights.safetensors"), small_model(num_classes=7)
    save_file(dict(trained.weights), file)
    named = read_model(file, "test_efficientnet")
    facts = timm.create_model("test_efficientnet").pretrained_cfg
    assert named.transform is not None and named.transform.size == facts["input_size"][-1]
    assert named.transform.mean == tuple(255 * value for value in facts["mean"])
    assert open_backbone(named, outputs="logits", device="cpu").width == 7
    with pytest.raises(ConfigError, match="without the name of their network"):
        read_model(file)
    with pytest.raises(ConfigError, match="no network 'test_efficient'"):
        read_model(file, "test_efficient")
    with pytest.raises(TagmillError, match="do not fit test_resnet"):
        read_model(file, "test_resnet")
    without = {name: value for name, value in trained.weights.items() if not name.startswith("classifier")}
    save_file(without, file)
    assert (
        open_backbone(read_model(file, "test_efficientnet"), device="cpu").width
        == trained.weights["classifier.weight"].shape[1]
    )


def test_a_network_of_tokens_without_a_vector_is_refused() -> None:
    with pytest.raises(ConfigError, match="not one vector an image"):
        open_backbone(small_model("test_vit", img_size=64, global_pool=""), device="cpu")
