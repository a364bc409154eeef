"""Threads that decode several batches at a time, and share the images of each."""
