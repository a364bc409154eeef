"""From a list of (image URL, hashtags) to a corpus of tar shards: fetch, check, deduplicate, label, pack.

The front door opens when it is used: a decoder process needs two files of this room, and must not load an SQL engine
for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["Denylist", "IngestConfig", "Reason", "Report", "ingest"]

if TYPE_CHECKING:
    from tagmill.ingest.config.ingest import IngestConfig
    from tagmill.ingest.filters.takedown_rules import Denylist
    from tagmill.ingest.reasons import Reason
    from tagmill.ingest.report import Report
    from tagmill.ingest.run import ingest
else:
    _HOMES = {
        "Denylist": "filters.takedown_rules",
        "IngestConfig": "config.ingest",
        "Reason": "reasons",
        "Report": "report",
        "ingest": "run",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
