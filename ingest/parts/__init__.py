"""The unit of work: rows are partitioned by URL hash, and the part of each partition is fetched and decoded on its own.

Used from outside: first_look, hashed_rows, known_urls, local_rows, make, partition, partition_tasks, ranged_reads,
row_groups, run, table.
"""
