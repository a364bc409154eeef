"""Loaders that the benchmark runs, one a file, each in the environment that its users have."""
