"""PDQ hashes: files of hashes, hashes in text lists, and search within a Hamming distance (multi-index tables, LSH)."""
