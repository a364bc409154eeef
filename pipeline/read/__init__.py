"""Bytes of the samples, read ahead of their use."""
