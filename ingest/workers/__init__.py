"""Worker processes: how they start, what they count."""
