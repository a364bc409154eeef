"""Packs finished parts into tar shards.

Used from outside: row_groups, shard_plan, write_shards.
"""
