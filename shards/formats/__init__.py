"""The files of a corpus: their byte layout, and how they are read and written.

Used from outside: npy, parquet, placeholder_jpeg, record, report_pictures, shard_facts, shard_index, shared_tables.
"""
