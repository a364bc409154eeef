"""Removes samples from a corpus on request."""
