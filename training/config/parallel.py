"""How the processes of a run share the work, and how the network is called."""

from dataclasses import dataclass
from typing import Literal

from tagmill.shards.settings.ranges import Count, Seconds


@dataclass(frozen=True, kw_only=True)
class ParallelOptions:
    """How processes share the work, and how the network is called."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the model."""
    accumulation: Count = 1
    """Parts in which a process computes its images of a step, where they do not fit at once; may change at a resume."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """ddp: every process holds all weights. fsdp: weights, gradients and optimiser state are divided among the processes."""
    sync_batch_norm: bool = False
    """Batch normalisation over the images of all GPUs; by default each GPU normalises over its own."""
    compile: bool = False
    """Compile the model with torch.compile."""
    activation_checkpointing: bool = False
    """Keep the inputs of each block only and compute the block again in the backward pass: less memory, about a third more
    time."""
    tf32: bool = True
    """On a GPU, compute float32 products in TF32, with 10 bits of mantissa instead of 23."""
    collective_timeout: Seconds = 600.0
    """With several processes: seconds that one may be in a single phase of a step while others wait for it (three times as many
    before its first step is done). Then it is named, and the run ends with a status that torchrun restarts."""
