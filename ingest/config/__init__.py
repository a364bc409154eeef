"""What a user says to an ingest: its flags, their ranges and defaults, and the presets.

Used from outside: dry_run, fetch, filters, image_policy, images, ingest, labels, memory, options, presets, sources.
"""
