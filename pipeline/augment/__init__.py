"""Augmentations: the drawn numbers, and their use on a batch."""
