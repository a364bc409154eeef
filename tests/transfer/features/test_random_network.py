"""Random networks: of a seed, with batch statistics of training images, without which their features hardly differ."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tagmill.pipeline import ImageDecoder
from tagmill.shards import ConfigError, TagmillError
from tagmill.training.trained.labels import ModelLabel
from tagmill.training.trained.model import Trained, Transform
from tagmill.transfer.features.backbone import open_backbone
from tagmill.transfer.features.extract import extract
from tagmill.transfer.features.random_network import RANDOM_SEEDS, architecture, random_network, random_networks
from tests.transfer.drawn_set import DrawnSet, drawn_set

SMALL = Transform(32, 1.0)
TRAIN = drawn_set(3, 10)


def spread(trained: Trained) -> float:
    """Returns the standard deviation of features over images, the mean of all features."""
    table = extract(open_backbone(trained, device="cpu"), drawn_set(3, 6, seed=1))
    return float(table.values.std(axis=0).mean())


def as_made(like: Trained, seed: int) -> Trained:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return replace(like, weights=like.fresh().state_dict())


def test_without_statistics_of_images_features_hardly_differ_and_with_them_they_do() -> None:
    like = architecture("mobilenetv3_small_050", Transform(64))
    assert spread(as_made(like, 0)) < 0.01 and spread(random_network(like, 0, TRAIN)) > 0.05


def test_statistics_are_the_plain_average_over_batches_of_images_that_can_be_decoded() -> None:
    like = architecture("test_resnet", SMALL)
    train = drawn_set(3, 10, undecodable={0, 11}, missing={5})
    weights = random_network(like, 2, train, count=30, batch=12).weights  # 27 images: two batches, and three are left
    network = as_made(like, 2).build()
    first = next(name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d))
    seen = list[torch.Tensor]()
    hook = network.get_submodule(first).register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with ImageDecoder(32, 1.0) as decoder, torch.inference_mode():
        good = [body for place, body in enumerate(train.images) if place not in (0, 5, 11)]
        network(decoder.decode(good).normalised("float32", SMALL.mean, SMALL.std).images)
    hook.remove()
    batches = [seen[0][start : start + 12].transpose(0, 1).flatten(1) for start in (0, 12)]
    mean = torch.stack([batch.mean(1) for batch in batches]).mean(0)
    variance = torch.stack([batch.var(1) for batch in batches]).mean(0)
    torch.testing.assert_close(weights[f"{first}.running_mean"], mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(weights[f"{first}.running_var"], variance, atol=1e-5, rtol=1e-4)
    assert int(weights[f"{first}.num_batches_tracked"]) == 2


def test_a_seed_gives_the_same_weights_and_leaves_the_random_numbers_of_others_alone() -> None:
    like = architecture("test_resnet", SMALL)
    before = torch.random.get_rng_state()
    digests = [each.digest for each in random_networks(like, TRAIN)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len({*digests}) == len(RANDOM_SEEDS) == 5 and random_network(like, 3, TRAIN).digest == digests[3]
    assert random_network(like, 3, drawn_set(3, 10, seed=2)).digest != digests[3]  # other training images


def test_it_has_the_labels_loss_and_transform_of_the_model_that_it_is_compared_with() -> None:
    labels = tuple(ModelLabel(name) for name in ("bear", "owl", "newt"))
    like = Trained("run", {}, "test_resnet", {}, labels, "sigmoid", SMALL)
    made = random_network(like, 1, TRAIN)
    assert (made.labels, made.loss, made.transform) == (labels, "sigmoid", SMALL) and "seed 1" in made.where
    logits = open_backbone(made, outputs="logits", device="cpu")
    assert logits.width == 3 and all(norm.momentum == 0.1 for norm in norms(made))
    assert not any(module.training for module in made.build().modules())


def norms(trained: Trained) -> list[nn.BatchNorm2d]:
    return [module for module in trained.build().modules() if isinstance(module, nn.BatchNorm2d)]


def test_a_network_without_batch_normalisation_needs_no_images() -> None:
    class Unread(DrawnSet):
        def read(self, places):  # type: ignore[no-untyped-def]
            raise AssertionError(places)

    unread = Unread(**{name: getattr(TRAIN, name) for name in DrawnSet.__dataclass_fields__})
    like = replace(architecture("test_vit", SMALL), network_args={"img_size": 32})
    assert np.isfinite(spread(random_network(like, 0, unread)))


def test_too_few_images_and_unknown_names_are_one_line() -> None:
    like = architecture("test_resnet", SMALL)
    with pytest.raises(TagmillError, match="fewer than two images"):
        random_network(like, 0, drawn_set(1, 3, undecodable={0, 1}))
    with pytest.raises(TagmillError, match="fewer than two images"):
        random_network(like, 0, drawn_set(1, 0))
    with pytest.raises(ConfigError, match="no network 'resnet_of_ours'"):
        architecture("resnet_of_ours")
    facts = architecture("tf_efficientnet_lite0").transform
    assert facts is not None and facts.mean == (127.5, 127.5, 127.5)
