"""From finished parts to tar shards.

Used from outside: shard_plan, write_shards.
"""
