"""Benchmarks of the loader on a GPU: compared with the GPU's decoder, other loaders, and the rate of a training."""
