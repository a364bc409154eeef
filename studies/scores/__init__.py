"""A teacher's scores of every sample of a corpus, as Parquet parts."""
