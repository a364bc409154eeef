"""What a run reports, and how often."""

from dataclasses import dataclass

from tagmill.shards.settings.ranges import Count


@dataclass(frozen=True, kw_only=True)
class MetricsOptions:
    """What the run reports, and how often."""

    log_every: Count = 20
    """Steps between two lines of the log."""
    evaluate_every: Count | None = None
    """Images between two evaluations on the held-out images, rounded up to whole steps; a checkpoint is saved with each. By
    default only at the end."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too, into the folder tensorboard of the output."""
    wandb: str | None = None
    """Project of Weights & Biases to which the metrics go too."""
