"""From a hashtag to a token, its synsets, and a label."""
