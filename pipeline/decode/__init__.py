"""Decodes JPEGs to tensors, on a CPU or a GPU.

Used from outside: backend, cpu_affinity, cuda_stream, device.
"""
