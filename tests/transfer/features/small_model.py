"""Small models with random weights, for tests of features."""

import timm
import torch

from tagmill.training.trained.model import Trained, Transform
from tagmill.transfer.features.backbone import Backbone, Outputs, open_backbone


def small_model(network: str = "test_efficientnet", side: int = 64, seed: int = 3, **arguments: object) -> Trained:
    """Returns a network of timm with weights of a seed, for images of `side` pixels."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        built = timm.create_model(network, **arguments)
    return Trained("memory", built.state_dict(), network, arguments, transform=Transform(side))


def small_backbone(seed: int = 3, outputs: Outputs = "features") -> Backbone:
    """Returns a backbone on the CPU."""
    return open_backbone(small_model(seed=seed), outputs=outputs, device="cpu")
