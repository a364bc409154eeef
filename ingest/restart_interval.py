"""Chooses the restart interval of a run that was given none: that of the corpus or unfinished run at its output."""

import dataclasses
import json

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.image_stacks import has_markers
from tagmill.ingest.layout import PARTITION_MARKER, STACK_PIN
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.shards.manifest import CORPUS, Corpus
from tagmill.shards.storage.store import Store


def with_interval(config: IngestConfig, store: Store) -> IngestConfig:
    """Returns the config with a restart interval, for a run into `store`.

    Without the flag it is that of the corpus there, else that of the unfinished run there, so that the images of one
    corpus are of one kind. Where these have none recorded, an earlier version made them, without markers: 0. A new run
    has "auto".
    """
    if config.restart_interval is not None or config.reencode == "never":
        return config
    if store.exists(CORPUS):
        found = Corpus.open(store.url).file.image_policy.get("restart_interval", 0)
    elif (marker := read_if_there(store, PARTITION_MARKER)) is not None:
        found = PartitionManifest.parse(marker).fields.get("restart_interval", 0)
    elif (pin := read_if_there(store, STACK_PIN)) is not None:  # killed before the rows were partitioned
        found = "auto" if has_markers(json.loads(pin)["image_stack"]) else 0
    else:
        found = "auto"
    return dataclasses.replace(config, restart_interval=found)
