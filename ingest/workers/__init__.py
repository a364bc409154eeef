"""Worker processes: how they start, get tasks, report counts, and end.

Used from outside: pool, process_setup, worker.
"""
