"""Reads the bytes of samples ahead of their use.

Used from outside: assemble, jpeg_header, prefetch.
"""
