"""Storage: the only module that reads and writes local disks and object stores.

Used from outside: counters, hedge, local_disk, marked_folder, node_cache, ranged_reads, seekable, store, threads.
"""
