"""What one run measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RunResult:
    """Measures of a finished run; a run that failed has none, and is reported but never averaged."""

    arm: str
    seed: int
    run: str  # digest that names its folder
    images: int  # seen in training
    seconds: float
    measures: Mapping[str, float] = field(
        default_factory=dict
    )  # shares between 0 and 1, by name: probe_top1, head_top1, ...
    failed: str | None = None  # why it has no measures
