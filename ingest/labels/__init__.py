"""Matches tags to labels: caption or hashtag to token, token to WordNet synsets, synsets to a label and its name.

Used from outside: caption_nouns, coverage, hashtags, label_names, matching, synsets, under_command, vocabulary_rules,
wordnet/imagenet.
"""
