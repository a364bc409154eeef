"""What an ingest prints at its end. Used from outside: ingest_ending."""
