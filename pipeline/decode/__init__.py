"""Decodes JPEGs to tensors, on a CPU or a GPU."""
