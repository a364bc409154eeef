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
    init: str | None = None
    """Trained model whose weights the run begins with: a run's output, a checkpoint, an exported folder, a .safetensors file
    (path or URL), or timm:NAME. The last layer takes over the rows of labels that are the same."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the forward pass; the last layer and the loss are always computed in float32."""
    channels_last: bool = True
    """Keep images and weights in channels-last order."""
