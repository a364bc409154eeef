"""Builds views of a corpus from its tables: labels of each sample, the vocabulary, and repeats; images are not read."""
