"""What people and machines see of a run while it goes on.

Used from outside: failure_budget, host_times, lines, progress, prometheus.
"""
