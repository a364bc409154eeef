"""From finished parts to tar shards."""
