"""Options of labels: the view `default` of a new corpus, and the views of one that is extended."""

from dataclasses import dataclass, field
from typing import Literal

from tagmill.ingest.config.options import Options
from tagmill.ingest.config.stages import LABEL
from tagmill.shards.settings.ranges import Count


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Options):
    """How tags become the labels of the view `default`."""

    vocabulary: str = field(default="nouns", metadata=LABEL)
    """Labels that become classes: nouns, in1k, in21k, or a file of labels."""
    min_count: Count = field(default=1, metadata=LABEL)
    """Minimum number of training images of a label."""
    top_k: Count | None = field(default=None, metadata=LABEL)
    """Keep only this many labels, the most frequent."""
    max_labels: Count = field(default=16, metadata=LABEL)
    """Maximum number of labels of an image; the rarest are kept."""
    rule: Literal["merge", "first", "all"] = field(default="merge", metadata=LABEL)
    """Labels of a token with several meanings: one label of all (merge), that of the first, or a label each (all)."""
    short_tokens: bool = field(default=False, metadata=LABEL)
    """Also read tokens of one or two characters, such as #tv and #ox."""
    recount: bool = field(default=False, metadata=LABEL)
    """With --extend: count the labels of every view again, which changes their ids; otherwise new labels get the next ids."""
    drop_views: tuple[str, ...] = field(default=(), metadata=LABEL)
    """With --extend: views that the new generation leaves out."""
