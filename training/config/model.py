"""The network of a run."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network, and its precision."""

    model: str = "resnet50"
    """Name of a model of timm."""
    model_args: dict[str, int | float | bool | str] = field(default_factory=dict)
    """Arguments of timm's create_model."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the forward pass; the last layer and the loss are always computed in float32."""
    channels_last: bool = True
    """Keep images and weights in channels-last order."""
