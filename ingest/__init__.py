"""From a list of (image URL, hashtags) to a corpus of tar shards: fetch, check, deduplicate, label, pack."""

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.report import Report
from tagmill.ingest.run import ingest

__all__ = ["IngestConfig", "Report", "ingest"]
