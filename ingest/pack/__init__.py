"""Packs finished parts into tar shards.

Used from outside: kept_pictures, shard_plan, write_shards.
"""
