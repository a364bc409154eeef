"""Measures the loader on this machine and store, against reading alone and decoding alone: `tagmill bench`.

Used from outside: bench_command.
"""
