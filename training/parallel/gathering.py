"""States with tensors that FSDP has divided among processes."""

from collections.abc import Mapping
from typing import Any

from torch.distributed.tensor import DTensor
from torch.utils._pytree import tree_map


def whole(state: Mapping[str, Any]) -> Any:
    """Returns a state with whole tensors in place of divided ones. All processes call it."""
    return tree_map(lambda value: value.full_tensor() if isinstance(value, DTensor) else value, dict(state))
