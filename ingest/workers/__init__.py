"""Worker processes: how they start, what they count.

Used from outside: pool, process_setup, shared_counters.
"""
