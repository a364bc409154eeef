"""Feature pyramids over timm's networks."""

import pytest
import timm
import torch
from torch import nn

from tagmill.shards import ConfigError
from tagmill.training.trained.model import Trained
from tagmill.transfer.detection.pyramid import TimmMaps, at_any_size, pyramid_backbone


def model(network: str) -> Trained:
    torch.manual_seed(0)
    return Trained("here", timm.create_model(network).state_dict(), network)


def test_maps_are_those_of_timms_features_only() -> None:
    trained = model("test_resnet")
    wanted = timm.create_model("test_resnet", features_only=True, out_indices=(1, 2, 3, 4)).eval()
    loaded = wanted.load_state_dict(dict(trained.weights), strict=False)
    assert not loaded.missing_keys
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        found = TimmMaps(trained.build(), [1, 2, 3, 4])(images)
        for own, other in zip(found.values(), wanted(images), strict=True):
            assert torch.equal(own, other)
    assert [each.shape[-1] for each in found.values()] == [24, 12, 6, 3]


@pytest.mark.parametrize("network", ["test_resnet", "test_vit"])
@pytest.mark.parametrize(("first", "two_more"), [(4, False), (8, True)])
def test_levels_have_their_strides(network: str, first: int, two_more: bool) -> None:
    trained = at_any_size(model(network))
    made = pyramid_backbone(trained, trained.build(), 16, from_stride=first, two_more=two_more)
    for height, width in ((128, 256), (256, 128)):
        levels = made(torch.randn(1, 3, height, width))
        shapes = [tuple(each.shape) for each in levels.values()]
        assert shapes == [(1, 16, height // stride, width // stride) for stride in made.strides]
    assert made.strides == ((8, 16, 32, 64, 128) if two_more else (4, 8, 16, 32, 64))


def test_batch_normalisation_is_frozen_and_computes_as_in_evaluation() -> None:
    trained = model("test_resnet")
    network = trained.build()
    images = torch.randn(4, 3, 64, 64)
    with torch.inference_mode():
        wanted = TimmMaps(trained.build(), [1, 2, 3, 4])(images)
    made = pyramid_backbone(trained, network, 16, from_stride=4, two_more=False).train()
    assert not any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in made.modules())
    with torch.no_grad():
        found = made.maps(images)
    assert all(torch.allclose(found[name], wanted[name], atol=1e-4, rtol=1e-4) for name in wanted)
    norms = [name for name, _ in made.named_parameters() if "bn" in name]
    assert not norms


def test_networks_without_the_maps_are_refused_in_a_line() -> None:
    for network, what in (("vit_tiny_r_s16_p8_224", "strides"), ("swin_tiny_patch4_window7_224", "any size")):
        trained = Trained("here", {}, network)
        with pytest.raises(ConfigError, match=what) as caught:
            pyramid_backbone(trained, timm.create_model(network), 16, from_stride=8, two_more=False)
        assert "take a network with strides 4, 8, 16 and 32" in str(caught.value)
