"""Augmentations: draws their random numbers and applies them to a batch.

Used from outside: apply, draws, image_size, squares.
"""
