"""Compiles a network with torch.compile."""

from collections.abc import Sequence

import torch._dynamo.config
from torch import nn

from tagmill.training.config.train import TrainConfig

VERSIONS = 4  # of a block's code: training and evaluation, and two sizes of a batch


def compile_in_place(config: TrainConfig, parts: Sequence[nn.Module]) -> None:
    """Lets each of `parts` be compiled when it is first called: the whole network, or its blocks where FSDP gathers one at a
    time. Names in the state dict stay. Where image sizes vary, sizes are variables of the compiled code; otherwise torch makes
    them so when a second size comes."""
    varied = not isinstance(config.loader_config().size, int)
    limits = torch._dynamo.config
    # Blocks share their code, of which torch compiles 8 versions and then none.
    limits.recompile_limit = max(limits.recompile_limit, VERSIONS * len(parts))
    for part in parts:
        part.compile(dynamic=True if varied else None)
