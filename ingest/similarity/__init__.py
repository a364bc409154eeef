"""PDQ hashes: their files, their text, and the search for near ones."""
