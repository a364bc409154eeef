"""When a run saves a checkpoint, which are kept, and from which it continues."""

from dataclasses import dataclass

from tagmill.shards.settings.ranges import Count


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """When a checkpoint is saved, which are kept, and from which the run continues."""

    resume: str = "auto"
    """auto: continue from the newest checkpoint of the output; a step: from the checkpoint of that step; never: start again."""
    extend: bool = False
    """Allow --epochs, --steps or --images to move the end of a run that is resumed. The learning rate follows the new end."""
    checkpoint_every: Count = 1000
    """Steps between two checkpoints."""
    checkpoint_epochs: bool = False
    """Also save a checkpoint at the end of each epoch, where a run may go on with another generation of the corpus."""
    keep: Count = 3
    """Newest checkpoints that are kept. The best by held-out accuracy is kept too."""
