"""Audit: whether a model predicts labels more often for one group of people, or of other subjects, than for the others."""
