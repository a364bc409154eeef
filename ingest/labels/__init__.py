"""Matches tags to labels: hashtag to token, token to WordNet synsets, synsets to a label and its name.

Used from outside: coverage, hashtags, label_names, matching, synsets, under_command, vocabulary_rules,
wordnet/imagenet.
"""
