"""Turns downloaded bytes into a stored JPEG and its hashes. Imports nothing here: a decode worker must start without Arrow.

Used from outside: decode_pool, fingerprint, prepare, rejected.
"""
