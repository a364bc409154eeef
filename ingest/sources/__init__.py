"""Lists, tars and folders as rows of (URL or place, tags)."""
