"""Set work as SQL text, one statement a file, in the subset that DuckDB and Spark share."""
