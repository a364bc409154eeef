"""From a list of (image URL, hashtags) to a corpus of tar shards: fetch, check, deduplicate, label, pack.

The front door opens when it is used: a decoder process needs two files of this room, and must not load an SQL engine
for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "Denylist",
    "IngestConfig",
    "Reason",
    "Report",
    "Under",
    "WordNet",
    "clean",
    "ingest",
    "labels_under",
    "synset_of",
]

if TYPE_CHECKING:
    from tagmill.ingest.config.ingest import IngestConfig
    from tagmill.ingest.filters.takedown_rules import Denylist
    from tagmill.ingest.labels.hashtags import clean
    from tagmill.ingest.labels.synsets import WordNet
    from tagmill.ingest.labels.under_command import Under, labels_under, synset_of
    from tagmill.ingest.reasons import Reason
    from tagmill.ingest.report import Report
    from tagmill.ingest.run import ingest
else:
    _HOMES = {
        "Denylist": "filters.takedown_rules",
        "IngestConfig": "config.ingest",
        "Reason": "reasons",
        "Report": "report",
        "Under": "labels.under_command",
        "WordNet": "labels.synsets",
        "clean": "labels.hashtags",
        "ingest": "run",
        "labels_under": "labels.under_command",
        "synset_of": "labels.under_command",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
