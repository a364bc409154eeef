"""Matches tags to labels: hashtag to token, token to WordNet synsets, synsets to a label and its name."""
