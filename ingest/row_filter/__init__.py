"""Leaves out rows of a list by a condition on their columns, as `--where` gives it.

Used from outside: condition.
"""
