"""Flags of `tagmill study`."""

from dataclasses import dataclass
from typing import Literal

import tyro

from tagmill.shards.settings.ranges import Count
from tagmill.studies.kinds.table import StudyName

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Which study is made, on which corpus, and how."""

    name: tyro.conf.Positional[StudyName]
    """Study of a paper's finding."""
    corpus: str
    """Folder or bucket prefix of the corpus. Views with names study-... are added to it."""
    output: str
    """Folder or bucket prefix for the plan, the runs and the results."""
    recipe: str
    """TOML file with the settings that all runs have in common, such as recipes/study.toml."""
    view: str = "default"
    """View that the arms change, and whose labels the networks' own accuracy is counted with."""
    seeds: Count | None = None
    """Runs of each arm; by default 5, and 6 for resampling."""
    images: Count | None = None
    """Images that a run sees, rounded up to whole steps; by default as many as the recipe says."""
    models: tuple[str, ...] = ()
    """Networks to compare in capacity and norm, the smaller one first; by default the recipe's and a larger one."""
    scores: str | None = None
    """Folder of a teacher's scores of the corpus, for k-per-class and p."""
    probe_set: tuple[str, ...] = ()
    """Sets with clean labels for linear probes, as for tagmill transfer; by default the held-out samples with their tags."""
    probe_split: str | None = None
    """Part of the sets to learn a probe from, such as train."""
    probe_test_split: str | None = None
    """Part of the sets to judge a probe on; by default one image in five is held out."""
    processes: Count | None = None
    """Runs at the same time, each with one thread; by default as many as cores, and 1 on a GPU."""
    device: Device | None = None
    """Device of the networks; by default what the recipe says."""
    plan_only: bool = False
    """Make the views and write plan.json, and stop before the first run."""
