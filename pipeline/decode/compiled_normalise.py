"""Normalisation and mixup in one pass over a batch, compiled by torch for the batch's device.

Separate torch operations read and write the floats of a batch three times, five with mixup. The result is that of
`batch.normalise` within the rounding of a fused multiply-add.
"""

from collections.abc import Callable
from functools import cache

import torch

from tagmill.pipeline.batch import Mix, Normalisation, factors, scaled


def compiled_normalise(
    images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
) -> torch.Tensor:
    """Normalises as `tagmill.pipeline.batch.normalise`. The first call for a shape compiles, which takes seconds."""
    shift, scale = factors(how, images.device)
    partners, shares = mix or (None, None)
    return _compiled()(images, valid, shift, scale, how.dtype, partners, shares)


@cache
def _compiled() -> Callable[..., torch.Tensor]:
    # Static shapes are fastest, and most runs have one. A second size of images compiles once more, for all sizes.
    made: Callable[..., torch.Tensor] = torch.compile(scaled, fullgraph=True, dynamic=None)
    return made
