"""What is trained on, where the result goes, and how long a run is."""

from dataclasses import dataclass

from tagmill.shards.settings.ranges import Count


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What is trained on, where the result goes, and how long the run is."""

    recipe: str | None = None
    """TOML file with values of the other flags, which override it."""
    corpus: str = "out/demo/corpus"
    """Folder or bucket prefix of the corpus."""
    view: str = "default"
    """View of the corpus whose labels are learnt."""
    output: str = "out/model"
    """Folder or bucket prefix that all processes see, for checkpoints, metrics, evaluations and the model."""
    dry_run: bool = False
    """Print what would be done, and stop."""
    processes: Count | None = None
    """With --dry-run: the processes to plan for. By default those that are running."""
    seed: int = 0
    """Seed of the weights, the order and the augmentation."""
    epochs: Count | None = None
    """Length in epochs, by default 1. Of several limits, the first that is reached ends the run; one that is given as a flag
    replaces those of the recipe."""
    steps: Count | None = None
    """Length in steps of the optimiser."""
    images: Count | None = None
    """Length in images."""
