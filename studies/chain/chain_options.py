"""Flags of `tagmill teach run`."""

from dataclasses import dataclass
from typing import Annotated

from tagmill.shards.settings.ranges import Between, Count
from tagmill.studies.command.study_options import Device

Rate = Annotated[float, Between(0, above=True)]


@dataclass(frozen=True, kw_only=True)
class ChainOptions:
    """Which teachers and students are trained, on which corpus, and how."""

    corpus: str
    """Folder or bucket prefix of the corpus. Views with names teach-... are added to it."""
    labels: str
    """Parquet table with the columns key and label: true labels of training and held-out samples."""
    output: str
    """Folder or bucket prefix for the plan, the runs, scores and results."""
    recipe: str
    """TOML file with the settings that all runs have in common, such as recipes/study.toml."""
    view: str = "default"
    """View of the tags, whose labels are the classes of all networks."""
    shots: Count = 10
    """True labels of each class to learn from."""
    k: Count | None = None
    """Images of each class that a teacher chooses (K); by default half of an equal share of the training samples."""
    seeds: Count = 5
    """Runs of each arm."""
    rates: tuple[Rate, ...] = ()
    """Learning rates to choose from for every stage; by default a ninth, a third and all of the recipe's."""
    rate_seeds: Count = 1
    """Seeds that are trained with every rate. A stage has the rate that is best in their mean on validation samples; the
    other seeds have it alone."""
    images: Count | None = None
    """Images that a network sees in each stage, rounded up to whole steps; by default as many as the recipe says."""
    processes: Count | None = None
    """Runs at the same time, each with one thread; by default as many as cores, and 1 on a GPU."""
    device: Device | None = None
    """Device of the networks; by default what the recipe says."""
    plan_only: bool = False
    """Make the views of true labels and write plan.json, and stop before the first run."""
