"""The network of a run."""
