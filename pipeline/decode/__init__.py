"""Decodes JPEGs to tensors, on a CPU or a GPU.

Used from outside: backend, choice/device, choice/division, choice/pictures, cpu_affinity, cuda_stream, in_turn, libjpeg.
"""
