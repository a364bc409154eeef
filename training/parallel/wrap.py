"""How the network is called: compiled, and on several processes with its gradients averaged (DDP) or divided (FSDP2)."""

from typing import Any

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from tagmill.training.config.train import TrainConfig
from tagmill.training.model.ema import WeightAverage
from tagmill.training.parallel.blocks import blocks_of
from tagmill.training.parallel.compiling import compile_in_place


def distributed(config: TrainConfig, model: nn.Module, processes: int) -> tuple[nn.Module, WeightAverage | None]:
    """Prepares the network, in place, for how it is called, and for several processes; names in its state dict stay. Returns
    what is called in a forward pass (with DDP a wrapper, otherwise the network itself), and the average of the weights, if
    there is one.

    The statistics of batch normalisation are each process's own; rank 0's running ones are saved and evaluated.
    """
    sharded = processes > 1 and config.parallel == "fsdp"
    average = WeightAverage(model, config.ema, config.batch_size) if config.ema else None
    if config.sync_batch_norm:
        model = convert_sync_batchnorm(model)
    if config.compile:
        compile_in_place(config, (sharded and blocks_of(model)) or [model])
    if sharded:
        shard(config, model)
        if average is not None:
            shard(config, average.module, trained=False)
    elif processes > 1:
        return DistributedDataParallel(model, forward_sync_buffers=False, gradient_as_bucket_view=True), average
    return model, average


def shard(config: TrainConfig, model: nn.Module, *, trained: bool = True) -> None:
    """Divides the weights among the processes with FSDP2: each block is gathered by itself, and so is the last layer; the root
    has the rest. `trained`: whether backward passes follow.

    Weights are kept, and gradients averaged, in float32. With bf16 the parts of a block whose matrices all belong to linear
    layers (attention, MLP) are gathered in bfloat16, to which autocast rounds them anyway; inputs are not cast, so that the
    residual stream is that of DDP. Convolutions, norms outside these parts and the last layer are gathered in float32.
    """
    for value in model.parameters():
        value.data = value.data.contiguous()  # FSDP divides no channels-last weights; images and activations stay so
    float32 = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    bfloat16 = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for block in blocks_of(model):
        if config.precision == "bf16" and (linear := [child for child in block.children() if is_linear(child)]):
            fully_shard(linear, mp_policy=bfloat16)
        fully_shard(block, mp_policy=float32)
    head: Any = getattr(model, "get_classifier", lambda: None)()
    if isinstance(head, nn.Module) and next(head.parameters(), None) is not None:
        fully_shard(head, mp_policy=float32)
    # Without a backward pass nothing would divide the root's weights again.
    fully_shard(model, mp_policy=float32, reshard_after_forward=not trained)


def is_linear(module: nn.Module) -> bool:
    """Returns whether a module has matrices, and all belong to linear layers."""
    owners = [each for each in module.modules() if any(value.ndim > 1 for value in each.parameters(recurse=False))]
    return bool(owners) and all(isinstance(each, nn.Linear) for each in owners)
