"""Views whose labels come from a table of (key, label) instead of the samples' tags."""
