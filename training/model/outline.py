"""Networks without numbers: for the shapes of their weights and outputs, and for what they say of themselves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

FILLING = frozenset(
    (
        *("uniform_", "normal_", "trunc_normal_", "constant_", "ones_", "zeros_", "erfinv_"),
        *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"),
        *("zero_", "fill_", "mul_", "add_", "clamp_"),
    )
)
"""What gives a weight its first numbers, of `torch.nn.init` and of tensors: none changes a shape."""


class _Unfilled(TorchFunctionMode):
    """What would fill a tensor does nothing."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__name__", "") in FILLING:
            return args[0] if args else named["tensor"]
        return func(*args, **named)


@contextmanager
def outlined() -> Iterator[None]:
    """Within it networks are built on torch's meta device, which has no memory, and nothing is done to fill them: there each
    call computes shapes only, by way of Python, which takes most of the time. For building alone: images go through a network
    outside, where additions in place are checked."""
    with torch.device("meta"), _Unfilled():
        yield
