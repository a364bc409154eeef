"""The images of a step, and how they are read."""

from dataclasses import dataclass
from typing import Literal

from tagmill.shards.settings.ranges import Count, Share


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The images of a step, and how they are read."""

    size: Count | str = 224
    """Pixels of a side; 128-320:32: drawn for each batch; 128-320:32@10: growing over 10 epochs."""
    evaluation_size: Count | None = None
    """Pixels of a side in the evaluation; by default the largest of size."""
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Brightness, contrast, saturation, hue."""
    randaugment: tuple[int, int] = (0, 0)
    """Number of RandAugment operations (1 to 16) and their magnitude (0 to 30)."""
    mixup: float = 0.0
    """Alpha of mixup, 0.01 to 100; 0 for none."""
    batch_size: Count = 256
    """Images of an optimiser step, over all processes."""
    accumulation: Count = 1
    """Parts in which a process computes its images of a step, where they do not fit at once; may change at a resume."""
    drop_last: bool = False
    """Leave out the last batch of an epoch if it is short."""
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
