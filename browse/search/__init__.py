"""Finds samples of a corpus by label, synset, tag, host or key, within a budget of time, and reads what is shown of them."""
