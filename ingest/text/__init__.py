"""Reads text as people and tools write it: list files, their encodings, and tags in a cell."""
