"""A corpus in a web browser: read-only pages on loopback."""
