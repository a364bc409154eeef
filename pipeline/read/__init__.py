"""Reads the bytes of samples ahead of their use.

Used from outside: assemble, batch_source, jpeg_header, prefetch.
"""
