"""What an ingest measures while it goes on: its hosts, its failures, and metrics for Prometheus.

Used from outside: failure_budget, host_times, prometheus.
"""
