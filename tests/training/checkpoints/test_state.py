"""Tests how the tensors of a run are named, and how they are divided among processes."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagmill.pipeline import World
from tagmill.training.checkpoints.state import all_finite, own_share, tensors_of, values_of
from tests.training.checkpoints.small_run import small_run, take_steps


def test_names_are_those_of_the_network(tmp_path: Path) -> None:
    run = small_run(str(tmp_path))
    take_steps(run, 1)
    found = tensors_of(run)
    assert {
        "model.0.weight",
        "model.1.running_mean",
        "optimiser.0.weight.exp_avg",
        "optimiser.4.bias.step",
    } <= found.keys()
    assert found["model.0.weight"].data_ptr() == run.model.get_parameter("0.weight").data_ptr()
    assert values_of(run) == {}
    run.optimiser.state[run.model.get_parameter("0.bias")]["phase"] = 3
    assert values_of(run) == {"optimiser.0.bias.phase": 3}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.integers(1, 40))
def test_each_tensor_is_of_one_process_and_buffers_of_the_first(size: int, tmp_path: Path) -> None:
    run = small_run(str(tmp_path))
    take_steps(run, 1)
    tensors, shares = tensors_of(run), []
    for rank in range(size):
        run.world = World(rank, size)
        shares.append(own_share(run, tensors))
    names = [name for share in shares for name in share]
    assert sorted(names) == sorted(tensors)
    assert {"model.1.running_mean", "model.1.running_var", "model.1.num_batches_tracked"} <= shares[0].keys()
    # No process has more than the mean and one tensor.
    buffers = {name for name in tensors if "running" in name or "tracked" in name}
    loads = [sum(value.nbytes for name, value in share.items() if name not in buffers) for share in shares]
    assert max(loads) <= sum(loads) / size + max(value.nbytes for value in tensors.values())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_is_found(tmp_path: Path, value: float) -> None:
    run = small_run(str(tmp_path))
    take_steps(run, 1)
    tensors = {**tensors_of(run), "empty": torch.zeros(0), "whole": torch.ones(3, dtype=torch.int64)}
    assert all_finite(run, tensors)
    for name in tensors:
        if tensors[name].is_floating_point() and tensors[name].numel():
            changed = tensors[name].detach().clone()
            changed.view(-1)[-1] = value
            assert not all_finite(run, {**tensors, name: changed})
