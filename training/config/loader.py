"""How images are read."""

from dataclasses import dataclass
from typing import Literal

from tagmill.shards.settings.ranges import Count, Share


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """How images are read, shuffled and decoded."""

    backend: Literal["auto", "cpu", "dali", "both"] = "auto"
    """Decoder of the images."""
    threads: Count | None = None
    """Decoding threads of a process; by default its share of the machine's cores."""
    streams: Count | None = None
    """Streams of the shuffle (T); by default 256, or 8 per process if that is more."""
    window: Count = 2
    """Chunks that a stream mixes (w)."""
    chunk: Count = 64
    """Consecutive samples that are fetched together (C)."""
    memory_limit: Count = 8 << 30
    """Memory of a process's loader, bytes."""
    failure_budget: Share = 0.001
    """Share of images that may be unreadable before the run stops."""
