"""PDQ hashes: files of hashes, hashes in text lists, and search within a Hamming distance (multi-index tables, LSH).

Used from outside: hamming_index, hash_files, hash_records, hex_hashes, lsh.
"""
