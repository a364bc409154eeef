"""The last layer of a network, which computes in float32."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.utils import skip_init


class Float32Linear(nn.Linear):
    """A linear layer that computes in float32 under autocast. With logits in bfloat16 many labels of a large vocabulary
    are equal, and the best of them is the one that comes first."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with _no_autocast(features):
            return super().forward(features.float())


class Float32Conv(nn.Conv2d):
    """The same for networks whose last layer is a convolution of 1 x 1 pixels."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with _no_autocast(features):
            return super().forward(features.float())


def _no_autocast(features: torch.Tensor) -> AbstractContextManager[object]:
    kind = features.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def classifier_path(model: nn.Module) -> str | None:
    """Returns the name of the layer that timm names the classifier; None where there is none, or several."""
    classifier: Any = getattr(model, "get_classifier", lambda: None)
    head = classifier()
    return next((name for name, module in model.named_modules() if module is head and name), None)


def compute_head_in_float32(model: nn.Module) -> Float32Linear | Float32Conv | None:
    """Puts a layer with the same weights and name, which computes in float32, in place of the model's classifier. Returns
    it; None if the model has none that is a linear layer or a convolution."""
    path = classifier_path(model)
    head: Any = model.get_submodule(path) if path else None
    if not path or type(head) not in (nn.Linear, nn.Conv2d):
        return None
    shape = {"bias": head.bias is not None, "device": head.weight.device, "dtype": head.weight.dtype}
    made: Float32Linear | Float32Conv
    if isinstance(head, nn.Linear):
        made = skip_init(  # type: ignore[no-untyped-call]
            Float32Linear, head.in_features, head.out_features, **shape
        )
    elif (head.kernel_size, head.groups) == ((1, 1), 1):
        made = skip_init(  # type: ignore[no-untyped-call]
            Float32Conv, head.in_channels, head.out_channels, 1, **shape
        )
    else:
        return None
    made.weight, made.bias = head.weight, head.bias
    parent, _, own = path.rpartition(".")
    setattr(model.get_submodule(parent), own, made)
    return made
