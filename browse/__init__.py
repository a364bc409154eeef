"""What people look at: a report page of a corpus (`report/`), and a corpus in a browser (`server/`)."""
