"""Measures how much faster a training loop would run if it never waited for its batches.

Used from outside: headroom, report.
"""
