"""The report of a model on a set: one JSON file and one page."""
