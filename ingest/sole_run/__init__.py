"""Keeps two runs out of one output: the first holds it, the second ends with a line that says so.

Used from outside: holding.
"""
