"""The files of a corpus: their byte layout, and how they are read and written.

Used from outside: npy, parquet, placeholder_jpeg, record, shard_facts, shard_index, shared_tables.
"""
