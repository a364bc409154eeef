"""Joins the processes of a run."""

import os
from contextlib import ExitStack
from typing import Any

import torch
import torch.distributed as dist

from tagmill.pipeline import World
from tagmill.shards import ConfigError
from tagmill.training.config.train import TrainConfig
from tagmill.training.parallel.backends import gpu_settings
from tagmill.training.parallel.joining import joined_store
from tagmill.training.parallel.watchdog import group_timeout


def begin_processes(config: TrainConfig, stack: ExitStack) -> tuple[World, str]:
    """Joins the processes, which communicate by nccl on GPUs and gloo on CPUs. Where they have joined before, they
    stay joined when `stack` ends. Returns the world and the device."""
    world, cuda = World.from_environment(), config.device != "cpu" and torch.cuda.is_available()
    if config.device == "cuda" and not cuda:
        raise ConfigError("device cuda, but torch sees no GPU", "train", "give --device cpu, or check nvidia-smi")
    if config.sync_batch_norm and not cuda and not config.dry_run:
        raise ConfigError(
            "sync_batch_norm on a CPU: torch has it for GPUs only", "train", "leave it out, or give --device cuda"
        )
    if config.dry_run:
        return World(world.rank, config.processes or world.size), "cuda" if cuda else "cpu"
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(device)
    stack.enter_context(gpu_settings(config, device))
    if world.size > 1 and not dist.is_initialized():
        # Checkpoints that are saved in the background, and the agreement to stop, communicate between CPUs.
        backend, own = ("cpu:gloo,cuda:nccl", torch.device(device)) if cuda else ("gloo", None)
        limit = group_timeout(config.collective_timeout)
        joined: Any = {
            "store": joined_store(world, limit),
            "rank": world.rank,
            "world_size": world.size,
            "timeout": limit,
        }
        dist.init_process_group(backend, device_id=own, **joined)
        stack.callback(dist.destroy_process_group)
    return world, device
