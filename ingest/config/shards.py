"""Options of parts and shards: how rows are divided."""

from dataclasses import dataclass, field

from tagmill.ingest.config.options import Options
from tagmill.ingest.config.stages import FETCH, PACK, SELECT
from tagmill.shards.settings.ranges import Count, CountOrZero


@dataclass(frozen=True, kw_only=True)
class ShardOptions(Options):
    """How rows are divided into parts, splits and shards."""

    holdout: CountOrZero = field(default=0, metadata=SELECT)
    """Number of images held out from training."""
    rows_per_part: Count = field(default=10_000, metadata=FETCH)
    """Maximum number of rows of a part, the unit of work, on average."""
    parts_per_group: Count = field(default=16, metadata=SELECT)
    """Number of parts that are packed together; no shard spans two groups."""
    shard_samples: Count = field(default=10_000, metadata=PACK)
    """Maximum number of samples of a shard."""
    shard_bytes: Count = field(default=1 << 30, metadata=PACK)
    """Maximum size of a shard, bytes."""
