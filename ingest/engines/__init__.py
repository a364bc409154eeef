"""SQL for work on whole tables, on DuckDB or Spark."""
