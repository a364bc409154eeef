"""The unit of work: rows are partitioned by host, and each part is fetched and decoded on its own.

Used from outside: first_look, known_urls, make, partition, robots, run, table.
"""
