"""An estimate in place of an ingest (`--dry-run`): reads a part of the input, fetches at most a sample, writes nothing.

It calls the stages that a run calls, so that what it says is what happens: `sources` for rows, `filters` and `http` for
what is never requested, `labels` and `views` for labels, `fetch`, `images` and `parts` for a sample.

Used from outside: run, screen.
"""
