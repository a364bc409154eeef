"""tagmill: from lists of (image URL, hashtags) to tar shards, and from tar shards to a multi-GPU trainer.

The folders at the top of the repository are its packages; here they have the name under which they are imported.
"""
