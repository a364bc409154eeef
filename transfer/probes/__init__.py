"""Probes: classifiers on features that stay as they are: linear, nearest neighbours, few-shot."""
