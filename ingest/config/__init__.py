"""What a user says to an ingest: its flags, their ranges and defaults, and the presets."""
