"""The tensors of a run: weights, their average, and the state of the optimiser, by names that no wrapper changes.

A tensor is named `model.NAME`, `ema.NAME` or `optimiser.NAME.KEY`, where NAME is the parameter's or buffer's in the network
itself; plain, replicated (DDP) and sharded (FSDP2) runs have the same names, so one continues from another's checkpoint.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.tensor import DTensor

from tagmill.shards import TagmillError
from tagmill.training.run import StepRun

MODEL, EMA, OPTIMISER = "model.", "ema.", "optimiser."
MOST_NAMED = 4  # names of tensors in an error


def modules_of(run: StepRun) -> dict[str, nn.Module]:
    """Returns the networks whose tensors are saved, by the prefix of their names."""
    return {MODEL: run.model} | ({} if run.ema is None else {EMA: run.ema})


def tensors_of(run: StepRun) -> dict[str, torch.Tensor]:
    """Returns all tensors of a run, as they are: not copied."""
    found = {
        f"{prefix}{name}": value
        for prefix, module in modules_of(run).items()
        for name, value in module.state_dict().items()
    }
    for name, parameter in run.model.named_parameters():
        for key, value in run.optimiser.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                found[f"{OPTIMISER}{name}.{key}"] = value
    return found


def values_of(run: StepRun) -> dict[str, Any]:
    """Returns the values of the optimiser's state that are no tensors, by the names that a tensor would have."""
    found = dict[str, Any]()
    for name, parameter in run.model.named_parameters():
        for key, value in run.optimiser.state.get(parameter, {}).items():
            if not isinstance(value, torch.Tensor):
                found[f"{OPTIMISER}{name}.{key}"] = value
    return found


def own_share(run: StepRun, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns what this process saves: its parts of sharded tensors, and its share by bytes of the replicated ones, which
    are equal on all processes. Buffers are those of process 0: the statistics of batch normalisation differ."""
    buffers = {f"{prefix}{name}" for prefix, module in modules_of(run).items() for name, _ in module.named_buffers()}
    loads, owner = [0] * run.world.size, dict[str, int]()
    replicated = [name for name, value in tensors.items() if not isinstance(value, DTensor) and name not in buffers]
    for name in sorted(replicated, key=lambda name: (-tensors[name].nbytes, name)):
        owner[name] = min(range(len(loads)), key=loads.__getitem__)
        loads[owner[name]] += tensors[name].nbytes
    return {
        name: value
        for name, value in tensors.items()
        if isinstance(value, DTensor) or owner.get(name, 0) == run.world.rank
    }


def all_finite(run: StepRun, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Returns whether no number is infinite or NaN, on any process. Waits for the device."""
    parts = [value.to_local() if isinstance(value, DTensor) else value for value in tensors.values()]
    parts = [part.detach() for part in parts if part.is_floating_point() and part.numel()]
    # The extremes of a tensor with NaN are NaN. This is one pass at the speed of memory; isfinite and a norm are not.
    extremes = dict[torch.device, list[torch.Tensor]]()
    for part in parts:
        extremes.setdefault(part.device, []).extend(each.double() for each in torch.aminmax(part))
    finite = torch.ones((), device=run.device)
    for found in extremes.values():
        finite = finite * torch.stack(found).isfinite().all().to(run.device)
    if run.several:
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    return bool(finite)


def targets_of(run: StepRun, metadata: Metadata, where: str) -> dict[str, torch.Tensor]:
    """Returns the tensors into which a checkpoint is read: those of the networks themselves, and new ones for the
    optimiser. Raises TagmillError unless names and shapes are the checkpoint's."""
    parameters = dict(run.model.named_parameters())
    wanted = {name: value for name, value in tensors_of(run).items() if not name.startswith(OPTIMISER)}
    saved = {
        name: entry for name, entry in metadata.state_dict_metadata.items() if isinstance(entry, TensorStorageMetadata)
    }
    for name, entry in saved.items():
        if not name.startswith(OPTIMISER):
            continue
        owner, _, key = name.removeprefix(OPTIMISER).rpartition(".")
        if (parameter := parameters.get(owner)) is None:
            continue  # named below
        like = key != "step" and entry.size == parameter.shape
        dtype = entry.properties.dtype
        wanted[name] = torch.zeros_like(parameter, dtype=dtype) if like else torch.zeros(entry.size, dtype=dtype)
    for what, names in (
        ("lacks", wanted.keys() - saved.keys()),
        ("has besides", saved.keys() - wanted.keys()),
        (
            "has in another shape or type",
            {name for name in wanted.keys() & saved.keys() if _differ(wanted[name], saved[name])},
        ),
    ):
        if names:
            some = ", ".join(sorted(names)[:MOST_NAMED]) + (
                f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
            )
            remedy = "resume with the versions of tagmill and timm that saved it, or take its weights by --init"
            raise TagmillError(f"a checkpoint of another network: it {what} {some}", where, remedy)
    return wanted


def set_optimiser(run: StepRun, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
    """Gives the optimiser the state of a checkpoint. Its settings stay those of the run."""
    optimiser = run.optimiser
    names = {id(parameter): name for name, parameter in run.model.named_parameters()}
    current = optimiser.state_dict()
    owned = dict[str, dict[str, Any]]()
    for name, value in [*tensors.items(), *values.items()]:
        if name.startswith(OPTIMISER):
            owner, _, key = name.removeprefix(OPTIMISER).rpartition(".")
            owned.setdefault(owner, {})[key] = value
    state = dict[int, dict[str, Any]]()
    for group, packed in zip(optimiser.param_groups, current["param_groups"], strict=True):
        for parameter, number in zip(group["params"], packed["params"], strict=True):
            if found := owned.get(names[id(parameter)]):
                state[number] = found
    optimiser.load_state_dict({"state": state, "param_groups": current["param_groups"]})


def _differ(tensor: torch.Tensor, entry: TensorStorageMetadata) -> bool:
    return tensor.shape != entry.size or tensor.dtype != entry.properties.dtype
