"""Reads the bytes of samples ahead of their use."""
