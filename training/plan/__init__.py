"""What a run will do and need, before it begins."""
