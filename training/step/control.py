"""The control of a run: every image with the labels of another one."""

import hashlib
from collections.abc import Mapping

import torch

from tagmill.pipeline import Labels


def shuffled(labels: Labels, state: Mapping[str, object], positions: torch.Tensor) -> Labels:
    """Returns labels permuted among the labelled images by a random cycle that state and positions seed."""
    digest = hashlib.sha256(repr((sorted(state.items()), positions.tolist())).encode()).digest()
    return labels.shuffled(int.from_bytes(digest[:7], "big"))
