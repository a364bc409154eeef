"""Packs finished parts into tar shards.

Used from outside: shard_plan, write_shards.
"""
