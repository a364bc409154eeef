"""Remote stores: one driver over obstore for S3, Google Cloud Storage and Azure, one over fsspec for every other scheme."""
