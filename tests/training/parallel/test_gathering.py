"""Tests whole states of divided tensors."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from tagmill.training.parallel.gathering import whole


@pytest.mark.usefixtures("group")
def test_divided_tensors_become_whole_and_others_stay() -> None:
    values = torch.arange(6.0).view(3, 2)
    divided = distribute_tensor(values, init_device_mesh("cpu", (1,)), [Shard(0)])
    found = whole({"weight": divided, "nested": {"step": 3, "plain": values}})
    assert type(found["weight"]) is torch.Tensor and torch.equal(found["weight"], values)
    assert found["nested"]["step"] == 3 and found["nested"]["plain"] is values
