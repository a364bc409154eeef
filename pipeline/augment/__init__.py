"""Augmentations: draws their random numbers and applies them to a batch."""
