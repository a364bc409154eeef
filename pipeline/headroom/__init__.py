"""Measures how much faster a training loop would run if its batches cost no time.

Used from outside: headroom, report.
"""
