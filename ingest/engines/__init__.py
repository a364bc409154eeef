"""SQL engines for work on whole tables: DuckDB in this process, or Spark on a cluster, with one dialect.

Used from outside: engine, open, spark_session, table_files.
"""
