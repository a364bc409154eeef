"""The unit of work: rows are partitioned by host, and each part is fetched and decoded on its own."""
