"""Flags of `tagmill teach select`."""

import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Literal

import tyro

from tagmill.ingest.views.view_command import check_view_name
from tagmill.shards.settings.ranges import Between, Count, CountOrZero, check_fields
from tagmill.studies.selection.chosen_rows import SelectionRule
from tagmill.studies.selection.teacher_classes import WithoutSynsets


@dataclass(frozen=True, kw_only=True)
class SelectOptions:
    """Which images a teacher's scores choose for each class."""

    scores: tyro.conf.Positional[str]
    """Folder or bucket prefix that tagmill teach score wrote."""
    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus that was scored."""
    view: tyro.conf.Positional[str]
    """Name of the view to make: letters, digits, - and _."""
    k: Count = 16_000
    """Number of images of each class: its best ones, of equal scores the first by key."""
    k_share: Annotated[float, Between(0, 1, above=True)] = 1.0
    """Multiply K by this number, such as the share of a larger corpus that this one is."""
    top_labels: Count | None = None
    """Number of the teacher's best labels of an image that can select it (P); by default all that the scores have."""
    rule: SelectionRule = "balanced"
    """K best of each class (balanced), as many images ranked over all classes (unbalanced), or K random ones by tag (tags)."""
    tags_view: str = "default"
    """View whose labels say which images have a tag of a class, for --rule tags."""
    exclude: str | None = None
    """File of sample keys that may not be chosen, one per line."""
    without_synsets: WithoutSynsets = "refuse"
    """What to do with classes of the teacher that have no synsets, which a view's labels need."""
    images: CountOrZero = 1
    """Number of images that the page shows of the best, of the median and of the last places of a class."""
    page: str | None = None
    """File for the page, such as selection.html; by default in the corpus, in report/selections."""
    seed: Annotated[int, Between(-(1 << 63), (1 << 63) - 1)] = 0
    """Seed of the random images of --rule tags, and of the view."""
    processes: Count = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of worker processes."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """Where tables are joined: this machine (duckdb) or a Spark cluster. The view is the same to the byte."""
    spark_master: str | None = None
    """Master URL of Spark; by default that of the current session or spark-submit, else processes of this machine."""
    memory_limit: str = "2GB"
    """Memory of the SQL engine, such as 500MB or 2GB; more data is spilled to the spool."""
    spool: str | None = None
    """Local scratch folder; by default in the system's folder for temporary files."""

    def __post_init__(self) -> None:
        check_fields(self, lambda name: f"--{name.replace('_', '-')}")
        check_view_name(self.view)

    @property
    def k_scaled(self) -> int:
        """K after --k-share, at least 1."""
        return max(1, round(self.k * Fraction(str(self.k_share))))
