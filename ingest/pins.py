"""What a run pins when it starts, so that a run that is resumed goes on with the same: rules, evaluation sets, image
stacks.

What an extension extends is pinned before, by extend/base_corpus.py.
"""

from dataclasses import dataclass
from typing import Any

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import EvaluationSets
from tagmill.ingest.dedup.evaluation_sets import read_sets
from tagmill.ingest.extend.base_corpus import Base
from tagmill.ingest.filters.pinned import Forbidden, pin_forbidden
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.ingest.image_stacks import pin_stack, stack_of, stacks_of
from tagmill.ingest.parts.run import images_left
from tagmill.shards.storage.store import Store


@dataclass(frozen=True)
class Pinned:
    """What all stages of a run agree on."""

    forbidden: Forbidden  # takedown rules and blocklists; workers read them from their pins
    evaluation: EvaluationSets  # not stored: they are read again, and their digest is in the stamp of the selection
    image_stack: dict[str, str]  # that began the run's images
    mixed_stacks: dict[str, Any]  # for the lineage, where images of several stacks are in the corpus; else empty

    def lineage(self) -> dict[str, Any]:
        """Returns what `corpus.json` says of them."""
        denied, sets = self.forbidden.denied, self.evaluation
        return {
            **({"takedown_sha256": denied.digest} if denied else {}),
            **({"evaluation_sha256": sets.digest} if sets else {}),
            **self.mixed_stacks,
        }


def pin(config: IngestConfig, store: Store, base: Base | None, start_over: str) -> Pinned:
    """Pins what a run begins with, or checks that a resumed run still agrees with its pins.

    `start_over` says for error messages how to give the run up. Raises ConfigError where lists have shrunk, where
    images would come from another image stack, or where an evaluation set cannot be read.
    """
    forbidden = pin_forbidden(config, store, Denylist.of(base.corpus.takedown) if base else Denylist())
    if images_left(store):
        pin_stack(config, store, start_over)
    mixed = stacks_of(store, base.corpus.file if base else None)
    return Pinned(forbidden, read_sets(config), stack_of(store), mixed)
