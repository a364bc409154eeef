"""Torch's settings of a GPU for the time of a run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from tagmill.training.config.train import TrainConfig


@contextmanager
def gpu_settings(config: TrainConfig, device: str) -> Iterator[None]:
    """Within it float32 products of a GPU are computed in TF32 or exactly, as `config.tf32` says, and where all images have
    one size cuDNN measures which algorithm of a convolution is the fastest. Nothing changes on a CPU."""
    if not device.startswith("cuda"):
        yield
        return
    # Not `fp32_precision`: once it was set torch refuses to read these, and torch.compile reads them.
    settings = {
        (torch.backends.cuda.matmul, "allow_tf32"): config.tf32,
        (torch.backends.cudnn, "allow_tf32"): config.tf32,
        (torch.backends.cudnn, "benchmark"): isinstance(config.loader_config().size, int),
    }
    before = {(owner, name): getattr(owner, name) for owner, name in settings}
    try:
        _set(settings)
        yield
    finally:
        _set(before)


def _set(values: Mapping[tuple[Any, str], bool]) -> None:
    for (owner, name), value in values.items():
        setattr(owner, name, value)
