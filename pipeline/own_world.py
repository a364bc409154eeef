"""The rank and world size of this process, and the check that a loader is iterated where it was made."""

import torch.distributed as dist
from torch.utils.data import get_worker_info

from tagmill.pipeline.config import World
from tagmill.shards.errors import ConfigError

NO_WORKERS = "set num_workers to 0: the loader has its own threads"


def own_world() -> World:
    """Returns the world of torch.distributed if it is initialised, else of the environment: Lightning and others start
    processes without torchrun's variables."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World.from_environment()


def check_process(took: World | None) -> None:
    """Raises ConfigError in a worker of a DataLoader, and if torch.distributed has another world than `took`, which the loader
    took when it was created; None: the world was given to it."""
    if worker := get_worker_info():
        what = f"worker {worker.id + 1} of {worker.num_workers} of a DataLoader: each would yield every sample again"
        raise ConfigError(what, "loader", NO_WORKERS)
    if took is not None and dist.is_available() and dist.is_initialized():
        found = own_world()
        if found != took:
            what = f"created before init_process_group, as rank {took.rank} of {took.size}: this is rank {found.rank}"
            remedy = "create the loader after init_process_group, or pass it World(rank, size)"
            raise ConfigError(f"{what} of {found.size}", "loader", remedy)
