"""Builds views of a corpus from its tables: labels of each sample, the vocabulary, and repeats; images are not read.

Used from outside: build, count, keyed_random, recipe, sample_locations, view_command.
"""
